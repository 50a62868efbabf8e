"""The connector as a real worker process, message by message."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

import cloned_connector_documents
import cloned_sdk
from cloned_connector_documents.worker import server
from cloned_sdk.wire import BootOrder, Ceilings

TOOLS = ["cloned.documents.list@v1", "cloned.documents.search@v1", "cloned.documents.read@v1"]
SCHEMA = {"type": "object"}


def start(tmp_path: Path, docs: Path) -> "subprocess.Popen[bytes]":
    assert server.package == "cloned_connector_documents"
    tools = [
        {"id": tool, "summary": tool, "input_schema": SCHEMA, "output_schema": SCHEMA, "effect": "read"}
        for tool in TOOLS
    ]
    manifest = tmp_path / "package.manifest.json"
    manifest.write_text(json.dumps({"id": "cloned-connector-documents", "tools": tools}))
    order = BootOrder(
        entry="python:cloned_connector_documents.worker:server",
        toplevel="cloned_connector_documents",
        tree=str(Path(cloned_connector_documents.__path__[0]).parent),
        manifest=str(manifest),
        granted={"documents": str(docs)},
        settings={},
        limits=Ceilings(2 * 1024**3, 600, 256, 1024**2, 4096),
    )
    place = tmp_path / "order.json"
    place.write_bytes(msgspec.json.encode(order))
    homes = [str(Path(package.__path__[0]).parent) for package in (cloned_sdk, msgspec)]
    code = f"import sys; sys.path += {homes!r}; from cloned_sdk.bootstrap import main; main()"
    command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", code, str(place)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}, cwd=tmp_path)


def talk(process: "subprocess.Popen[bytes]", name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    params = {"name": name, "arguments": arguments, "_meta": {"call_id": "c-1"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()
    answer: dict[str, Any] = json.loads(process.stdout.readline())
    return answer["result"]  # type: ignore[no-any-return]  # JSON


def test_a_document_is_found_read_and_followed_as_it_changes(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "pets.md").write_text("# Pets\n\nTurtles live long.\n\nCats do not.\n")
    (docs / "link.md").symlink_to("/etc/passwd")
    with start(tmp_path, docs) as process:
        try:
            found = talk(process, TOOLS[1], {"query": "How long do turtles live?"})["structuredContent"]
            assert [(one["path"], one["line_start"]) for one in found["passages"]] == [("pets.md", 3)]
            assert [one["path"] for one in found["skipped"]] == ["link.md"]
            (docs / "pets.md").write_text("# Pets\n\n\nTurtles live very long.\n")
            moved = talk(process, TOOLS[1], {"query": "turtles"})["structuredContent"]["passages"][0]
            lines = {"folder": "documents", "path": "pets.md", "line_start": moved["line_start"], "line_end": 4}
            assert talk(process, TOOLS[2], lines)["structuredContent"]["text"] == moved["text"]
            assert talk(process, TOOLS[0], {})["structuredContent"]["total"] == 1
            refused = talk(process, TOOLS[2], {"folder": "documents", "path": "../secret.md"})
            assert (refused["isError"], refused["structuredContent"]["code"]) == (True, "PATH_REFUSED")
        finally:
            process.kill()
