"""Fixtures that the acceptance, attack and crash tests share: signed first-party plugins, a person, a workspace."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cloned.workspace import Workspace
from cloned_devkit import pack, publisher, signing
from cloned_operations.context import Context
from cloned_operations.table import run
from cloned_storage.layout import Places, UserPlaces

REPOSITORY = Path(__file__).resolve().parent.parent
FIRST_PARTY = (
    "cloned-policy-packs",
    "cloned-vault-file",
    "cloned-connector-documents",
    "cloned-skills",
    "cloned-research",
)
CODE = re.compile(rb"Type (\d{4}) to agree: $")


@dataclass(frozen=True, slots=True)
class Dist:
    """A folder of signed wheels and the record of who signed them."""

    folder: Path
    publisher: Path
    key: Path


def new_publisher(folder: Path, publisher_id: str) -> Dist:
    """A publisher with a key made for this, and an empty folder of wheels."""
    made = publisher.init(publisher_id, [publisher_id], folder / "publisher", kernel=True)
    return Dist(folder / "dist", made.record, made.key)


def sign_into(dist: Dist, sources: Sequence[Path]) -> Dist:
    """Pack and sign plugins."""
    for source in sources:
        signing.sign(pack.write(pack.pack(source), dist.folder), [dist.key])
    return dist


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Dist:
    """The first-party plugins as wheels."""
    dist = new_publisher(tmp_path_factory.mktemp("first-party"), "cloned")
    return sign_into(dist, [REPOSITORY / "plugins" / name for name in FIRST_PARTY])


@dataclass(slots=True)
class Person:
    """Somebody at a terminal who agrees, and remembers to what."""

    agreed: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def confirm(self, subject: str, facts: Sequence[str]) -> None:
        self.agreed.append((subject, tuple(facts)))


def environment(home: Path) -> dict[str, str]:
    """An environment whose user-level state lies below `home` and nowhere else."""
    return {"HOME": str(home), "PATH": os.environ["PATH"], "NO_COLOR": "1", "LANG": "C.UTF-8"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@dataclass(slots=True)
class Desk:
    """A person with a workspace, asking for operations as a surface would."""

    root: Path
    user: UserPlaces
    person: Person = field(default_factory=Person)
    actor: str = "person:ada"
    secret: bytes = b"a secret typed by nobody"

    def ask(self, operation_id: str, **inputs: Any) -> Any:
        context = Context(
            actor=self.actor,
            operator=self.person,
            user=self.user,
            start=self.root,
            secret=lambda _: self.secret,
            env={},
        )
        try:
            return run(operation_id, inputs, context)
        finally:
            context.close()

    @property
    def places(self) -> Places:
        return Places(self.root)

    def open(self) -> Workspace:
        return Workspace.open(self.places, self.user)


@pytest.fixture
def desk(tmp_path: Path, home: Path) -> Desk:
    """A fresh workspace of type personal: no publisher trusted, no policy in force."""
    root = tmp_path / "workspace"
    root.mkdir()
    found = Desk(root.resolve(), UserPlaces.from_environment(environment(home)))
    found.ask("workspace.init", type="personal")
    return found


@pytest.fixture
def furnished(desk: Desk, dist: Dist) -> Desk:
    """The workspace with the personal pack in force and every first-party plugin enabled."""
    desk.ask("trust.add", file=str(dist.publisher), kernel=True)
    desk.ask("plugin.install", **{"id": FIRST_PARTY[0], "from": str(dist.folder), "enable": True})
    desk.ask("policy.apply", pack="personal")
    for name in FIRST_PARTY[1:]:
        desk.ask("plugin.install", **{"id": name, "from": str(dist.folder), "enable": True})
    return desk


@pytest.fixture
def workspace(furnished: Desk) -> Iterator[Workspace]:
    with furnished.open() as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Command:
    """The command `cloned` as a process of its own, with or without a terminal."""

    folder: Path
    env: Mapping[str, str]

    def __call__(self, *arguments: str | Path, stdin: bytes = b"") -> Done:
        """Without a terminal: in a session of its own, so that /dev/tty is nobody's."""
        done = subprocess.run(
            self._argv(arguments), cwd=self.folder, env=self.env, input=stdin, capture_output=True, check=False,
            start_new_session=True,
        )  # fmt: skip
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def at_terminal(self, *arguments: str | Path, typed: bytes | None = None) -> Done:
        """On a terminal of its own; types the code shown, or `typed` instead."""
        process, terminal = pty.fork()
        if process == 0:
            os.chdir(self.folder)
            os.execve(sys.executable, self._argv(arguments), dict(self.env))
        seen = b""
        while chunk := _read(terminal):
            seen += chunk
            if (asked := CODE.search(seen)) is not None:
                os.write(terminal, (asked[1] if typed is None else typed) + b"\n")
                seen += b"\n"
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        os.close(terminal)
        return Done(code, seen.decode(errors="replace").replace("\r", ""), "")

    def _argv(self, arguments: Sequence[str | Path]) -> list[str]:
        return [sys.executable, "-m", "cloned_cli.main", *map(str, arguments)]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux answers EIO when the last process has left the terminal
        return b""


@pytest.fixture
def command(tmp_path: Path, home: Path) -> Command:
    folder = tmp_path / "here"
    folder.mkdir()
    return Command(folder, environment(home))


PROBES = ("acme-probe", "acme-ledger")


@pytest.fixture(scope="session")
def probes(tmp_path_factory: pytest.TempPathFactory) -> Dist:
    """Plugins of a third party, the tests' own."""
    sources = [REPOSITORY / "tests" / "plugins" / name for name in PROBES]
    return sign_into(new_publisher(tmp_path_factory.mktemp("third-party"), "acme"), sources)


@pytest.fixture
def probed(furnished: Desk, probes: Dist) -> Desk:
    """The furnished workspace with the third party's plugins beside the first-party ones."""
    furnished.ask("trust.add", file=str(probes.publisher), kernel=True)
    for name in PROBES:
        furnished.ask("plugin.install", **{"id": name, "from": str(probes.folder), "enable": True})
    return furnished
