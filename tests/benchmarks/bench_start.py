"""Measure how commands start: modules and CPU of `cloned --help` and of what a person runs most. Asserts nothing.

Run: python tests/benchmarks/bench_start.py
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

sys.path.append(str(Path(__file__).resolve().parents[2]))  # a script finds only its own folder by itself

from tests.benchmarks import scene
from tests.benchmarks.scene import Scene

BANNED = ("pydantic", "jsonschema", "sqlalchemy", "httpx", "starlette")
MODULES, RATIO, ROUNDS = 160, 1.5, 15
TOLD = "import atexit, sys; atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))\n"
HELP = "import sys; sys.argv = ['cloned', '--help']\nfrom cloned_cli.main import main; main()"
CLICK = [sys.executable, "-c", "import click"]
COMMANDS = (
    ("plugin", "list"),
    ("run", "pipeline.research.report", "--topic", "audit", "--dry-run"),
    ("approvals", "list"),
    ("audit", "verify"),
)


def command(*words: str) -> list[str]:
    """The command as it is installed, which starts in the same way on every system."""
    return [str(Path(sys.executable).with_name("cloned")), *words]


def started(place: Scene, argv: Sequence[str]) -> tuple[float, float]:
    """Milliseconds of CPU (user and system, its children's too) and of wall time that one process takes."""
    begin = perf_counter()
    with subprocess.Popen(
        argv, cwd=place.root, env=place.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        _, status, used = os.wait4(process.pid, 0)
        taken = perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(argv)} ended with {process.returncode}: {process.communicate()[1].decode()}")
    return (used.ru_utime + used.ru_stime) * 1000, taken * 1000


def modules(place: Scene) -> None:
    """What `cloned --help` has loaded when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", TOLD + HELP], cwd=place.root, env=place.environment, check=True, capture_output=True
    )
    loaded = done.stderr.decode().split()
    banned = ", ".join(name for name in BANNED if name in loaded) or "none"
    print(f"cloned --help: {len(loaded)} modules (at most {MODULES}); of {', '.join(BANNED)}: {banned}")


def helped(place: Scene) -> None:
    """CPU of the help beside that of the library it is made with."""
    shown, clicked = scene.interleaved(
        ROUNDS, lambda: started(place, command("--help"))[0], lambda: started(place, CLICK)[0]
    )
    own, other = statistics.median(shown), statistics.median(clicked)
    print(f"cloned --help: {own:.0f} ms CPU; import click: {other:.0f} ms; ratio {own / other:.2f} (at most {RATIO})")


def commands(place: Scene) -> None:
    """What a person waits for, beside the bare interpreter with click."""
    for words in COMMANDS:
        pairs = [(started(place, command(*words)), started(place, CLICK)) for _ in range(5)]
        cpu, wall = (statistics.median(own[which] for own, _ in pairs) for which in (0, 1))
        ratio = cpu / statistics.median(other[0] for _, other in pairs)
        print(f"cloned {' '.join(words)}: {cpu:.0f} ms CPU, {wall:.0f} ms wall; {ratio:.1f} times import click")


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        place = scene.furnished(Path(folder))
        for argv in (command("--help"), command("plugin", "list")):
            started(place, argv)  # once before it counts: bytecode is written, files are in memory
        modules(place)
        helped(place)
        commands(place)


if __name__ == "__main__":
    main()
