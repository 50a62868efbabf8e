"""What the benchmarks share: a furnished workspace as the command makes it, the disk's own speed, lines of figures.

Everything lies in a folder that the caller gives and removes; nothing of the user's is read or written.
"""

import os
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from cloned.workspace import Workspace
from cloned_devkit import pack, publisher, signing
from cloned_operations.context import Context
from cloned_operations.table import run
from cloned_storage.layout import Places, UserPlaces

REPOSITORY = Path(__file__).resolve().parents[2]
FIRST_PARTY = (
    "cloned-policy-packs",
    "cloned-vault-file",
    "cloned-connector-documents",
    "cloned-skills",
    "cloned-research",
)
ECHO = "acme.probe.echo@v1"
_FSYNCS = 500


class _Agreeing:
    """A person who agrees to everything, as the benchmarks' own user does."""

    def confirm(self, subject: str, facts: Sequence[str]) -> None:
        """Agree."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A workspace with every first-party plugin enabled, the tests' probe beside them, and folders of its own."""

    root: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """For child processes: user-level state lies below `home` and nowhere else."""
        return {"HOME": str(self.home), "PATH": os.environ["PATH"], "NO_COLOR": "1", "LANG": "C.UTF-8"}

    @property
    def user(self) -> UserPlaces:
        return UserPlaces.from_environment(self.environment)

    def ask(self, operation_id: str, **inputs: Any) -> Any:
        """Ask for an operation as the command does."""
        context = Context("person:bench", _Agreeing(), self.user, self.root, lambda _: b"", {})
        try:
            return run(operation_id, inputs, context)
        finally:
            context.close()

    def open(self) -> Workspace:
        return Workspace.open(Places(self.root), self.user)


def furnished(folder: Path) -> Scene:
    """Pack, sign, trust, install and enable everything, through every check."""
    scene = Scene(folder / "workspace", folder / "home")
    scene.root.mkdir()
    scene.home.mkdir(mode=0o700)
    scene.ask("workspace.init", type="personal")
    ours, theirs = (_publish(folder / name, name, sources) for name, sources in _sources().items())
    scene.ask("trust.add", file=str(ours / "publisher.json"), kernel=True)
    scene.ask("trust.add", file=str(theirs / "publisher.json"), kernel=True)
    scene.ask("plugin.install", **{"id": FIRST_PARTY[0], "from": str(ours), "enable": True})
    scene.ask("policy.apply", pack="personal")
    for name in FIRST_PARTY[1:]:
        scene.ask("plugin.install", **{"id": name, "from": str(ours), "enable": True})
    scene.ask("plugin.install", **{"id": "acme-probe", "from": str(theirs), "enable": True})
    return scene


def _sources() -> Mapping[str, list[Path]]:
    ours = [REPOSITORY / "plugins" / name for name in FIRST_PARTY]
    return {"cloned": ours, "acme": [REPOSITORY / "tests" / "plugins" / "acme-probe"]}


def _publish(folder: Path, publisher_id: str, sources: Sequence[Path]) -> Path:
    made = publisher.init(publisher_id, [publisher_id], folder, kernel=True)
    for source in sources:
        signing.sign(pack.write(pack.pack(source), folder), [made.key])
    return folder


def interleaved(rounds: int, *ways: Callable[[], float]) -> list[list[float]]:
    """What each way gives, a round after the other, so that a busy machine is equally busy for all of them."""
    taken: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for way, times in zip(ways, taken, strict=True):
            times.append(way())
    return taken


def concurrently(callers: int, times: int, work: Callable[[], object]) -> None:
    """Do the work so many times in all, in that many threads at once."""
    with ThreadPoolExecutor(callers) as threads:
        shares = [threads.submit(_repeat, times // callers, work) for _ in range(callers)]
        for share in shares:
            share.result()


def _repeat(times: int, work: Callable[[], object]) -> None:
    for _ in range(times):
        work()


def middle(figures: Iterable[float]) -> float:
    """The median."""
    return statistics.median(figures)


@contextmanager
def timed(times: list[float]) -> Iterator[None]:
    """Add the milliseconds that the block takes."""
    begin = perf_counter()
    yield
    times.append((perf_counter() - begin) * 1000)


def spread(times: Sequence[float]) -> str:
    """Median and 95th percentile of milliseconds."""
    ordered = sorted(times)
    return f"p50 {statistics.median(ordered):.3f} ms, p95 {ordered[int(len(ordered) * 0.95)]:.3f} ms"


def disk(folder: Path) -> str:
    """What one fsync of an appended kilobyte takes where the benchmark works."""
    times: list[float] = []
    descriptor = os.open(folder / "fsync", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for _ in range(_FSYNCS):
        with timed(times):
            os.write(descriptor, bytes(1024))
            os.fsync(descriptor)
    os.close(descriptor)
    return f"disk: append and fsync of 1 KiB {spread(times)}, {1000 / statistics.fmean(times):.0f}/s"
