"""Real plugins for real workers: packages written into a folder, with a manifest, run in the real sandbox."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloned_sdk.wire import JsonObject, tool_digest, tool_of
from cloned_workers.pool import WorkerPool, WorkerSpec

TOOL = "acme.probe.run@v1"

HONEST = """
import msgspec
from cloned_sdk import Call, Server, ToolError

server = Server("acme_probe")


class Inputs(msgspec.Struct):
    code: str = ""
    echo: msgspec.Raw = msgspec.Raw(b"null")


@server.tool("acme.probe.run@v1")
def run(inputs: Inputs, call: Call) -> dict:
    names = {"call": call, "ToolError": ToolError, "value": None}
    exec(inputs.code, names)
    return {"value": names["value"], "echo": inputs.echo}
"""
"""A plugin whose tool runs whatever code it is given: the most hostile plugin there can be."""

RAW = """
import json, os, sys
from cloned_sdk import wire

frame = sys._getframe()
while frame.f_code.co_name != "main":
    frame = frame.f_back
source, out = frame.f_locals["source"], frame.f_locals["out"]
tools = json.load(open("/plugin/acme_probe-1.0.0.dist-info/cloned/package.manifest.json"))["tools"]
told = json.loads(wire.write_message([wire.tool_of(tool) for tool in tools]))


def send(message):
    data = (message if isinstance(message, bytes) else json.dumps(message).encode()) + b"\\n"
    while data:
        data = data[os.write(out, data):]


def read():
    return json.loads(source.readline())


def open_up(told=told):
    greeting = read()
    peer = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "raw", "version": "1"}}
    send({"jsonrpc": "2.0", "id": greeting["id"], "result": peer})
    read()
    send({"jsonrpc": "2.0", "id": read()["id"], "result": {"tools": told}})


def reply(request, value=1):
    send({"jsonrpc": "2.0", "id": request["id"], "result": {"content": [], "structuredContent": {"value": value}}})


"""
"""A plugin that speaks the protocol by itself, around the SDK."""


def manifest_tool(tool_id: str = TOOL, summary: str = "Runs code") -> JsonObject:
    return {
        "id": tool_id,
        "summary": summary,
        "input_schema": {"type": "object"},
        "output_schema": {"type": "object"},
        "effect": "read",
    }


Plant = Callable[..., WorkerSpec]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Write a plugin and give its spec; keywords go to the spec."""

    def write(source: str = HONEST, *, tools: list[JsonObject] | None = None, **spec: Any) -> WorkerSpec:
        tree = tmp_path / "tree"
        package, info = tree / "acme_probe", tree / "acme_probe-1.0.0.dist-info" / "cloned"
        for folder in (package, info):
            folder.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text("")
        (package / "worker.py").write_text(source)
        listed = [manifest_tool()] if tools is None else tools
        manifest = info / "package.manifest.json"
        manifest.write_text(json.dumps({"id": "acme-probe", "tools": listed}))
        return WorkerSpec(
            plugin_id="acme-probe",
            entry="python:acme_probe.worker:server",
            toplevel="acme_probe",
            tree=tree,
            manifest=str(manifest.relative_to(tree)),
            tools={tool["id"]: tool_digest(tool_of(tool)) for tool in listed},
            **spec,
        )

    return write


@pytest.fixture
def plant_raw(plant: Plant) -> Plant:
    """A plugin that opens the conversation well and then does as `body` says."""
    return lambda body, **spec: plant(f"{RAW}\nopen_up()\n{body}\n", **spec)


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(grace_seconds=0.2) as workers:
        yield workers


Ask = Callable[..., Any]


@pytest.fixture
def ask(pool: WorkerPool) -> Ask:
    """Run code in a worker's tool and give what it left in `value`."""

    def run(spec: WorkerSpec, code: str, *, timeout: float = 20, call_id: str = "c1") -> Any:
        return pool.call(spec, TOOL, {"code": code}, call_id=call_id, timeout=timeout)["value"]

    return run
