"""A plugin in a folder and its worker as a plain process: what the SDK does by itself, without any host."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import cloned_sdk
from cloned_sdk.wire import BootOrder, Ceilings

SOURCE = """
import msgspec
from cloned_sdk import Call, Server, ToolError

server = Server("acme_weather")


class Place(msgspec.Struct):
    city: str
    wait: bool = False


class Forecast(msgspec.Struct):
    text: str


@server.tool("acme.weather.today@v1")
def today(inputs: Place, call: Call) -> Forecast:
    if inputs.city == "Atlantis":
        raise ToolError("NO_SUCH_CITY", "it sank")
    if inputs.city == "Loud":
        print("printed by the plugin", flush=True)
        call.log("info", "logged by the plugin")
        call.progress(1, 2, "half")
    while inputs.wait and not call.cancelled:
        pass
    folders = {name: str(place) for name, place in call.granted.items()}
    return Forecast(f"sun in {inputs.city} {call.call_id} {dict(call.settings)} {folders}")
"""
TOOL = "acme.weather.today@v1"
TODAY = {
    "id": TOOL,
    "summary": "Tells the weather",
    "description": "Of today.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "output_schema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    "effect": "read",
    "idempotent": True,
}


@pytest.fixture
def source() -> str:
    """The plugin's module."""
    return SOURCE


@pytest.fixture
def today() -> dict[str, Any]:
    """The manifest's entry of the plugin's one tool."""
    return TODAY


Command = Callable[..., list[str]]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command line of a worker; `source`, `tools` and fields of the boot order can be given."""

    def build(source: str = SOURCE, tools: tuple[dict[str, Any], ...] = (TODAY,), **order: Any) -> list[str]:
        tree = tmp_path / "tree"
        (tree / "acme_weather").mkdir(parents=True, exist_ok=True)
        (tree / "acme_weather" / "__init__.py").write_text("")
        (tree / "acme_weather" / "worker.py").write_text(source)
        manifest = tree / "package.manifest.json"
        manifest.write_text(json.dumps({"id": "acme-weather", "tools": tools}))
        facts = {
            "entry": "python:acme_weather.worker:server",
            "toplevel": "acme_weather",
            "tree": str(tree),
            "manifest": str(manifest),
            "granted": {"docs": "/granted/docs"},
            "settings": {"unit": "C"},
            "limits": Ceilings(8 * 1024**3, 600, 128, 1024**2, 4096),
        }
        place = tmp_path / "order.json"
        place.write_bytes(msgspec.json.encode(BootOrder(**{**facts, **order})))
        folders = [str(Path(package.__path__[0]).parent) for package in (cloned_sdk, msgspec)]
        code = f"import sys; sys.path += {folders!r}; from cloned_sdk.bootstrap import main; main()"
        return [sys.executable, "-I", "-S", "-B", "-c", code, str(place)]

    return build


class Conversation:
    """A host in its simplest form: it sends a line and reads lines."""

    def __init__(self, command: list[str]) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)

    def send(self, message: object) -> None:
        assert self.process.stdin is not None
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.process.stdin.write(data + b"\n")
        self.process.stdin.flush()

    def read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def ask(self, method: str, params: Any = None, number: int | str = 1) -> Any:
        message = {"jsonrpc": "2.0", "id": number, "method": method}
        self.send(message if params is None else {**message, "params": params})
        return self.read()

    def end(self) -> tuple[int, str]:
        """Close the pipe: the exit status and everything the worker wrote to its log."""
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said.decode()


@pytest.fixture
def talk(command: Command) -> Iterator[Callable[..., Conversation]]:
    open_ones: list[Conversation] = []

    def start(**plugin: Any) -> Conversation:
        open_ones.append(Conversation(command(**plugin)))
        return open_ones[-1]

    yield start
    for conversation in open_ones:
        conversation.process.kill()
        conversation.process.communicate()
