"""The research tool in a real worker process, message by message."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

import cloned_research
import cloned_sdk
from cloned_sdk.wire import BootOrder, Ceilings

TOOL = "cloned.research.synthesize@v1"
SCHEMA = {"type": "object"}


def command(tmp_path: Path) -> list[str]:
    manifest = tmp_path / "package.manifest.json"
    tool = {"id": TOOL, "summary": "Writes", "input_schema": SCHEMA, "output_schema": SCHEMA, "effect": "read"}
    manifest.write_text(json.dumps({"id": "cloned-research", "tools": [tool]}))
    order = BootOrder(
        entry="python:cloned_research.worker:server",
        toplevel="cloned_research",
        tree=str(Path(cloned_research.__path__[0]).parent),
        manifest=str(manifest),
        granted={},
        settings={},
        limits=Ceilings(2 * 1024**3, 600, 256, 1024**2, 4096),
    )
    place = tmp_path / "order.json"
    place.write_bytes(msgspec.json.encode(order))
    homes = [str(Path(package.__path__[0]).parent) for package in (cloned_sdk, msgspec)]
    code = f"import sys; sys.path += {homes!r}; from cloned_sdk.bootstrap import main; main()"
    return [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", code, str(place)]


def report(tmp_path: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    params = {"name": TOOL, "arguments": arguments, "_meta": {"call_id": "c-1"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    pipe = subprocess.PIPE
    with subprocess.Popen(command(tmp_path), stdin=pipe, stdout=pipe, env={}, cwd=tmp_path) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            result: dict[str, Any] = json.loads(process.stdout.readline())["result"]
            return result
        finally:
            process.kill()


def test_equal_passages_give_equal_reports_in_two_processes(
    tmp_path: Path, passage: Callable[..., dict[str, Any]]
) -> None:
    text = " ".join(f"Approvals of {name} are kept by the {name} office for years." for name in "abcdefgh")
    arguments = {"question": "How are approvals kept?", "passages": [passage(text), passage(text[::-1], "b.md")]}
    first, second = report(tmp_path, arguments), report(tmp_path, arguments)
    assert not first["isError"]
    assert first["structuredContent"]["found"]
    assert first == second


def test_inputs_that_are_no_passages_are_an_error_of_the_call(tmp_path: Path) -> None:
    result = report(tmp_path, {"question": "approvals", "passages": [{"text": "no more than that"}]})
    assert (result["isError"], result["structuredContent"]["code"]) == (True, "INPUT_INVALID")
