"""A worker as its host sees it, message by message."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from cloned_sdk.wire import MAX_FRAME, PROTOCOL_VERSION, WireTool, tool_digest, tool_of

Talk = Callable[..., Any]

TOOL = "acme.weather.today@v1"
GREETING = {"protocolVersion": PROTOCOL_VERSION, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


def order(**arguments: object) -> dict[str, object]:
    return {"name": TOOL, "arguments": arguments, "_meta": {"call_id": "c-1"}}


def test_it_opens_with_the_protocols_version(talk: Talk) -> None:
    welcome = talk().ask("initialize", GREETING)
    assert welcome == {
        "jsonrpc": "2.0",
        "id": 1,
        "result": {
            "protocolVersion": PROTOCOL_VERSION,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "acme_weather", "version": "1"},
        },
    }


def test_it_lists_exactly_what_the_manifest_says(talk: Talk, today: dict[str, Any]) -> None:
    (told,) = talk().ask("tools/list")["result"]["tools"]
    assert told["name"] == TOOL
    assert told["description"] == "Tells the weather\n\nOf today."
    assert told["annotations"] == {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": False}
    assert tool_digest(msgspec.convert(told, WireTool)) == tool_digest(tool_of(today))


def test_a_call_gets_its_typed_inputs_and_what_was_lent(talk: Talk) -> None:
    answer = talk().ask("tools/call", order(city="Bonn"), "x1")
    assert answer["id"] == "x1"
    text = "sun in Bonn c-1 {'unit': 'C'} {'docs': '/granted/docs'}"
    assert answer["result"] == {"structuredContent": {"text": text}, "content": [], "isError": False}


def test_a_tools_own_error_is_a_result(talk: Talk) -> None:
    result = talk().ask("tools/call", order(city="Atlantis"))["result"]
    assert result["isError"] is True
    assert result["structuredContent"] == {"code": "NO_SUCH_CITY", "message": "it sank"}
    assert result["content"] == [{"type": "text", "text": "it sank"}]


def test_inputs_of_another_type_are_told_as_such(talk: Talk) -> None:
    result = talk().ask("tools/call", order(city=3))["result"]
    assert result["structuredContent"]["code"] == "INPUT_INVALID"
    assert "$.city" in result["structuredContent"]["message"]


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("tools/call", {"name": "acme.weather.none@v1"}, -32602),
        ("tools/call", {"arguments": {}}, -32602),
        ("tools/call", None, -32602),
        ("initialize", None, -32602),
        ("resources/list", {}, -32601),
        ("ping", json.loads("[" * 40 + "]" * 40), -32600),
    ],
)
def test_what_cannot_be_answered_is_rejected_and_the_worker_goes_on(
    talk: Talk, method: str, params: Any, code: int
) -> None:
    conversation = talk()
    assert conversation.ask(method, params)["error"]["code"] == code
    assert conversation.ask("ping", {}, 2) == {"jsonrpc": "2.0", "id": 2, "result": {}}


@pytest.mark.parametrize(
    "line", [b"no json", b"\xff", b"[]", b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', b"[" * 100_000, b"x" * MAX_FRAME]
)
def test_a_host_that_breaks_the_protocol_is_left(talk: Talk, line: bytes) -> None:
    conversation = talk()
    conversation.ask("ping", {})
    conversation.send(line)
    assert conversation.read() is None
    status, said = conversation.end()
    assert status == 1
    assert "the host sent" in said


def test_a_cancelled_call_hears_of_it_while_the_worker_goes_on(talk: Talk) -> None:
    conversation = talk()
    conversation.send({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": order(city="Bonn", wait=True)})
    assert conversation.ask("ping", {}, 8)["id"] == 8
    cancel = {"requestId": 7, "reason": "enough"}
    conversation.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancel})
    assert conversation.read()["id"] == 7


def test_progress_goes_to_who_asked_and_logs_and_prints_do_not_disturb(talk: Talk) -> None:
    conversation = talk()
    asked = order(city="Loud")
    asked["_meta"] = {"call_id": "c-1", "progressToken": "t"}
    conversation.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asked})
    log, progress, answer = (conversation.read() for _ in range(3))
    assert log["params"] == {"level": "info", "message": "logged by the plugin", "call_id": "c-1"}
    assert progress["params"] == {"progressToken": "t", "progress": 1.0, "total": 2.0, "message": "half"}
    assert answer["id"] == 1
    conversation.send({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": order(city="Loud")})
    assert [conversation.read().get("method"), conversation.read()["id"]] == ["cloned/log", 2]
    assert "printed by the plugin" in conversation.end()[1]


def test_it_ends_with_the_pipe_even_while_a_handler_runs(talk: Talk) -> None:
    conversation = talk()
    conversation.send({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": order(city="Bonn", wait=True)})
    assert conversation.ask("ping", {}, 8)["id"] == 8
    assert conversation.end()[0] == 0


def test_it_ends_with_the_pipe_even_while_the_plugin_keeps_a_thread(talk: Talk, source: str) -> None:
    thread = "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"
    conversation = talk(source=thread + source)
    assert conversation.ask("ping", {})["id"] == 1
    assert conversation.end()[0] == 0


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("server = 1", "no cloned_sdk.Server"),
        ("from cloned_sdk import Server\nserver = Server('acme_weather')", "without handler ['acme.weather.today@v1']"),
        ("from cloned_sdk import Server\nserver = Server('other')", "the manifest is of acme-weather"),
    ],
)
def test_a_plugin_that_does_not_fit_its_manifest_does_not_start(talk: Talk, source: str, said: str) -> None:
    conversation = talk(source=source)
    assert conversation.read() is None
    status, log = conversation.end()
    assert status == 1
    assert said in log


def test_a_handler_that_the_manifest_does_not_name_is_refused(talk: Talk) -> None:
    conversation = talk(tools=())
    assert conversation.read() is None
    assert "not in the manifest ['acme.weather.today@v1']" in conversation.end()[1]


@pytest.mark.parametrize("entry", ["python:os:path", "node:acme_weather:server", "python:acme_weather.worker:none"])
def test_an_entry_that_is_no_server_of_the_package_is_refused(talk: Talk, entry: str) -> None:
    assert talk(entry=entry).end()[0] == 1


def test_limits_hold_before_the_plugin_is_imported(talk: Talk) -> None:
    source = "import resource, sys\nsys.exit(str(resource.getrlimit(resource.RLIMIT_NOFILE)))"
    assert "(128, 128)" in talk(source=source).end()[1]
