"""An MCP server written with the official SDK, driven by our strict client: the kernel speaks MCP."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloned_schemas.errors import PluginFault, TrustRefused
from cloned_sdk.wire import tool_digest
from cloned_workers.pool import WorkerPool, WorkerSpec
from cloned_workers.rpc import Worker

SERVER = """
from mcp.server.fastmcp import FastMCP
from pydantic import BaseModel

server = FastMCP("official")


class Sum(BaseModel):
    total: int


@server.tool(name="acme.sum.run@v1")
def run(a: int, b: int) -> Sum:
    "Adds two numbers"
    if a < 0: raise ValueError("no negative numbers")
    return Sum(total=a + b)


server.run()
"""


def start(*_: object) -> "subprocess.Popen[bytes]":
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", SERVER]
    return subprocess.Popen(command, env=dict(os.environ), stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)


@pytest.fixture
def worker() -> Iterator[Worker]:
    running = Worker(start(), "official")
    yield running
    running.kill("WORKER_DIED", "the test is over")
    assert running.join(20)


def spec(tmp_path: Path, digests: dict[str, str]) -> WorkerSpec:
    return WorkerSpec("official", "python:none:none", "none", tmp_path, "none", digests)


def test_the_official_server_is_greeted_listed_and_called(worker: Worker) -> None:
    worker.greet(60)
    worker.ping(60)
    (tool,) = worker.list_tools(60)
    assert (tool.name, tool.description) == ("acme.sum.run@v1", "Adds two numbers")
    assert tool.output_schema is not None
    assert worker.call_tool(tool.name, {"a": 1, "b": 2}, call_id="c", timeout=60) == {"total": 3}
    with pytest.raises(PluginFault, match="no negative numbers") as caught:
        worker.call_tool(tool.name, {"a": -1, "b": 2}, call_id="c", timeout=60)
    assert caught.value.id == "TOOL_FAILED"


def test_the_official_server_runs_in_the_pool_where_its_pins_match(worker: Worker, tmp_path: Path) -> None:
    worker.greet(60)
    digests = {tool.name: tool_digest(tool) for tool in worker.list_tools(60)}
    with WorkerPool(start=start, spawn_seconds=60) as pool:
        answer = pool.call(spec(tmp_path, digests), "acme.sum.run@v1", {"a": 20, "b": 22}, call_id="c", timeout=60)
        assert answer == {"total": 42}
        pins = dict.fromkeys(digests, "0" * 64)
        with pytest.raises(TrustRefused) as caught:
            pool.call(spec(tmp_path, pins), "acme.sum.run@v1", {"a": 1, "b": 1}, call_id="c", timeout=60)
        assert caught.value.id == "TOOL_PIN"
