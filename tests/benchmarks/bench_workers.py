"""Measure workers: a call through the pool, and a start in the sandbox beside one without it. Prints, asserts nothing.

Run: python tests/benchmarks/bench_workers.py
"""

import json
import statistics
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec

import cloned_sdk
from cloned_sdk.wire import BootOrder, tool_digest, tool_of
from cloned_workers import sandbox
from cloned_workers.pool import Starter, WorkerPool, WorkerSpec
from cloned_workers.rpc import Worker
from cloned_workers.sandbox import Cell

TOOL = "acme.echo.run@v1"
MORE_MS = 10
SOURCE = """
from cloned_sdk import Call, Server

server = Server("acme_echo")


@server.tool("acme.echo.run@v1")
def run(inputs: dict, call: Call) -> dict:
    return inputs
"""
MANIFEST: dict[str, Any] = {
    "id": "acme-echo",
    "tools": [
        {
            "id": TOOL,
            "summary": "Gives back what it gets",
            "input_schema": {"type": "object"},
            "output_schema": {"type": "object"},
            "effect": "read",
        }
    ],
}


def echo_plugin(folder: Path) -> WorkerSpec:
    """A plugin in a folder, as the store would hold it."""
    (folder / "acme_echo").mkdir()
    (folder / "acme_echo" / "__init__.py").write_text(SOURCE)
    info = folder / "acme_echo-1.0.0.dist-info" / "cloned"
    info.mkdir(parents=True)
    (info / "package.manifest.json").write_text(json.dumps(MANIFEST))
    return WorkerSpec(
        plugin_id="acme-echo",
        entry="python:acme_echo:server",
        toplevel="acme_echo",
        tree=folder,
        manifest="acme_echo-1.0.0.dist-info/cloned/package.manifest.json",
        tools={TOOL: tool_digest(tool_of(MANIFEST["tools"][0]))},
    )


def start_bare(cell: Cell, order: BootOrder) -> "subprocess.Popen[bytes]":
    """The same interpreter and bootstrap, without bubblewrap and seccomp."""
    order.tree = str(cell.tree)
    order.manifest = order.manifest.replace("/plugin", order.tree, 1)
    packages = cell.tree.parent / "packages"  # as in the sandbox: these two and nothing else
    with sandbox._inherited(msgspec.json.encode(order)) as descriptor:
        command = [*sandbox._python(), "-c", sandbox.launch_code(str(packages)), str(descriptor)]
        return sandbox.spawn(command, pass_fds=[descriptor])


def time_start(start: Starter, spec: WorkerSpec) -> float:
    """Milliseconds from nothing to the answered greeting."""
    begin = perf_counter()
    worker = Worker(start(Cell(spec.tree, spec.grants, spec.limits), spec.order), "bench")
    worker.greet(20)
    taken = (perf_counter() - begin) * 1000
    worker.kill("WORKER_DIED", "measured")
    worker.join(20)
    return taken


def calls(spec: WorkerSpec) -> None:
    """One caller's latency, and the throughput of 1 and 16 callers."""
    with WorkerPool() as pool:

        def call(number: int) -> float:
            begin = perf_counter()
            pool.call(spec, TOOL, {"number": number}, call_id="c", timeout=20)
            return (perf_counter() - begin) * 1000

        for number in range(200):
            call(number)
        begin = perf_counter()
        taken = sorted(call(number) for number in range(4000))
        alone = 4000 / (perf_counter() - begin)
        print(f"call, 1 caller: p50 {taken[2000]:.3f} ms, p95 {taken[3800]:.3f} ms, {alone:.0f}/s")
        with ThreadPoolExecutor(16) as threads:
            begin = perf_counter()
            list(threads.map(call, range(8000)))
            many = 8000 / (perf_counter() - begin)
        print(f"call, 16 callers: {many:.0f}/s; ratio to 1 caller {many / alone:.2f}")


def starts(spec: WorkerSpec) -> None:
    """Sandboxed and bare starts, interleaved."""
    sandboxed, bare = [], []
    for _ in range(40):
        sandboxed.append(time_start(sandbox.start, spec))
        bare.append(time_start(start_bare, spec))
    inside, outside = statistics.median(sandboxed), statistics.median(bare)
    print(
        f"start: sandboxed {inside:.1f} ms, the same interpreter bare {outside:.1f} ms; ratio {inside / outside:.2f}, "
        f"{inside - outside:.1f} ms more (at most {MORE_MS})"
    )


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        packages, tree = Path(folder, "packages"), Path(folder, "tree")
        packages.mkdir()
        tree.mkdir()
        for package in (cloned_sdk, msgspec):
            (packages / package.__name__).symlink_to(package.__path__[0])
        spec = echo_plugin(tree)
        calls(spec)
        starts(spec)


if __name__ == "__main__":
    main()
