"""Measure a governed call beside the same warm sandboxed worker called directly. Prints, asserts nothing.

Run: python tests/benchmarks/bench_call.py
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from itertools import count
from pathlib import Path
from time import perf_counter

sys.path.append(str(Path(__file__).resolve().parents[2]))  # a script finds only its own folder by itself

from cloned.monitor.authority import worker_spec
from cloned.workspace import Workspace
from cloned_sdk.host import CallRequest
from tests.benchmarks import scene
from tests.benchmarks.scene import ECHO, Scene

WARM, PAIRS, CALLERS = 50, 1000, 16
FLUSHES_A_CALL, COUNTED = 4, (20, 220)
_numbers = count(1)


def govern(workspace: Workspace) -> None:
    """One governed call that nobody made before."""
    correlation = f"{os.getpid()}-{next(_numbers)}"
    outcome = workspace.monitor.call(CallRequest(ECHO, {"text": "hello"}, correlation, "agent:bench"))
    if outcome.outcome != "success":
        raise SystemExit(f"the call ended as {outcome.outcome}: {outcome.error_id} {outcome.message}")


def latency(workspace: Workspace) -> None:
    """Governed and direct calls, one of each in turn."""
    spec = worker_spec(workspace.plugins.plugin("acme-probe"), workspace.plugins)
    governed: list[float] = []
    direct: list[float] = []
    for _ in range(PAIRS):
        with scene.timed(governed):
            govern(workspace)
        with scene.timed(direct):
            workspace.workers.call(spec, ECHO, {"text": "hello"}, "bench", timeout=20)
    more = statistics.median(governed) - statistics.median(direct)
    ordered, other = sorted(governed), sorted(direct)
    tail = ordered[int(PAIRS * 0.95)] - other[int(PAIRS * 0.95)]
    print(f"governed: {scene.spread(governed)}; direct: {scene.spread(direct)}")
    print(f"governed above direct: p50 {more:.3f} ms (at most 3), p95 {tail:.3f} ms")


def throughput(workspace: Workspace, callers: int, calls: int, target: int) -> None:
    """Governed calls a second, and what the process counted of its own flushes meanwhile."""
    before = workspace.audit.flushes + workspace.database.commits
    begin, busy = perf_counter(), os.times()
    scene.concurrently(callers, calls, lambda: govern(workspace))
    taken, worked = perf_counter() - begin, os.times()
    flushes = workspace.audit.flushes + workspace.database.commits - before
    cpu = (worked.user + worked.system - busy.user - busy.system) * 1000 / calls
    print(
        f"{callers} callers: {calls / taken:.0f} calls/s (at least {target}); {flushes / calls:.2f} flushes and "
        f"{cpu:.2f} ms CPU of this process a call"
    )


def flushes(place: Scene) -> None:
    """Flushes that the system saw, in a process of its own: the difference between few calls and many."""
    if shutil.which("strace") is None:
        print("flushes: strace is not here; the counts above are the process's own")
        return
    seen = []
    for calls in COUNTED:
        record = place.root.parent / "strace.txt"
        trace = ["strace", "-f", "-o", str(record), "-e", "trace=fsync,fdatasync", sys.executable, __file__]
        subprocess.run([*trace, str(place.root), str(place.home), str(calls)], check=True)
        seen.append(sum("sync(" in line for line in record.read_text().splitlines()))
    each = (seen[1] - seen[0]) / (COUNTED[1] - COUNTED[0])
    print(f"flushes a call, seen by strace: {each:.2f} (at most {FLUSHES_A_CALL}; the database's checkpoints included)")


def main() -> None:
    """Print the figures; with a place and a number, only make that many calls."""
    if sys.argv[1:]:
        root, home, calls = sys.argv[1:]
        with Scene(Path(root), Path(home)).open() as workspace:
            for _ in range(int(calls)):
                govern(workspace)
        return
    with tempfile.TemporaryDirectory() as folder:
        place = scene.furnished(Path(folder))
        with place.open() as workspace:
            for _ in range(WARM):
                govern(workspace)
            latency(workspace)
            throughput(workspace, 1, 1000, 300)
            throughput(workspace, CALLERS, 4000, 1000)
        flushes(place)
        print(scene.disk(Path(folder)))


if __name__ == "__main__":
    main()
