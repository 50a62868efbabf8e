"""A worker that breaks the protocol, hangs or dies: the call fails with its own id, and the host goes on."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from cloned_schemas.errors import ClonedError, PluginFault, UserMistake
from cloned_workers.pool import WorkerPool, WorkerSpec

Plant = Callable[..., WorkerSpec]
Ask = Callable[..., Any]

TOOL = "acme.probe.run@v1"
RAW_CASES = {
    "no JSON": "send(b'hello')",
    "NaN": """send(b'{"jsonrpc":"2.0","id":%d,"result":NaN}' % order['id'])""",
    "no UTF-8": """send(b'{"jsonrpc":"2.0","id":%d,"result":{"structuredContent":{"a":"\\xff"}}}' % order['id'])""",
    "a method that is no UTF-8": """send(b'{"jsonrpc":"2.0","method":"\\xff"}')""",
    "an array": "send([])",
    "another version": "send({'jsonrpc': '1.0', 'id': order['id'], 'result': {}})",
    "an unknown id": "send({'jsonrpc': '2.0', 'id': 999, 'result': {}})",
    "an id that is text": "send({'jsonrpc': '2.0', 'id': str(order['id']), 'result': {}})",
    "no id": "send({'jsonrpc': '2.0', 'result': {}})",
    "neither result nor error": "send({'jsonrpc': '2.0', 'id': order['id']})",
    "both result and error": "send({'jsonrpc': '2.0', 'id': order['id'], 'result': {},"
    " 'error': {'code': 1, 'message': ''}})",
    "a result that is no object": "send({'jsonrpc': '2.0', 'id': order['id'], 'result': 3})",
    "content that is no object": "send({'jsonrpc': '2.0', 'id': order['id'], 'result': {'structuredContent': 3}})",
    "a flood without newline": "send(b'x' * 2_000_000)",
    "a frame over the limit": "reply(order, 'x' * 1_100_000)",
    "a frame padded over the limit": "send(json.dumps({'jsonrpc': '2.0', 'id': order['id'], 'result': {}}).encode()"
    " + b' ' * 2_000_000)",
    "a last line without its end": """os.write(out, b'{"jsonrpc":"2.0","id":%d,"result":{}}' % order['id'])\n"""
    "os._exit(0)",
    "too deep": "reply(order, json.loads('[' * 40 + ']' * 40))",
    "a bomb of brackets": """send(b'{"jsonrpc":"2.0","id":%d,"result":' % order['id'] + b'[' * 500_000)""",
    "a deep and broken result": """send(b'{"jsonrpc":"2.0","id":%d,"result":' % order['id'] + b'[' * 500_000 """
    "+ b']' * 500_000 + b'}')",
    "notices without end": "for _ in range(20_000): send({'jsonrpc': '2.0', 'method': 'x', 'params': {}})",
}


def failure(pool: WorkerPool, spec: Any, *, timeout: float = 20) -> ClonedError:
    with pytest.raises(ClonedError) as caught:
        pool.call(spec, TOOL, {"code": ""}, call_id="c1", timeout=timeout)
    return caught.value


@pytest.mark.parametrize("case", sorted(RAW_CASES))
def test_a_worker_that_breaks_the_protocol_is_killed(plant_raw: Plant, pool: WorkerPool, case: str) -> None:
    error = failure(pool, plant_raw(f"order = read()\n{RAW_CASES[case]}\nread()"))
    assert (error.id, error.details["sent"]) == ("WORKER_PROTOCOL", True)


def test_an_answer_given_twice_is_a_breach(plant_raw: Plant, pool: WorkerPool) -> None:
    spec = plant_raw("order = read()\nreply(order)\nread()\nreply(order)\nread()")
    assert pool.call(spec, TOOL, {}, call_id="c1", timeout=20) == {"value": 1}
    assert failure(pool, spec).id == "WORKER_PROTOCOL"


def test_a_worker_that_asks_the_host_gets_an_answer_and_nothing_else(plant_raw: Plant, pool: WorkerPool) -> None:
    spec = plant_raw(
        "order = read()\nsend({'jsonrpc': '2.0', 'id': 'a', 'method': 'roots/list'})\nfirst = read()\n"
        "send({'jsonrpc': '2.0', 'id': 'b', 'method': 'ping'})\nreply(order, [first, read()])\nread()"
    )
    refused, pong = pool.call(spec, TOOL, {}, call_id="c1", timeout=20)["value"]
    assert (refused["id"], refused["error"]["code"]) == ("a", -32601)
    assert pong == {"jsonrpc": "2.0", "id": "b", "result": {}}


def test_a_plugins_own_print_and_input_touch_nothing(plant: Plant, ask: Ask, pool: WorkerPool) -> None:
    spec = plant()
    code = "import os\nprint('to stdout', flush=True)\nos.write(1, b'raw\\x1b[2J\\n')\nvalue = os.read(0, 9).decode()"
    assert ask(spec, code) == ""
    assert ask(spec, "value = 2") == 2
    while len(pool.log(spec)) < 2:  # the log comes by another pipe, in its own time
        threading.Event().wait(0.01)
    assert pool.log(spec) == ("to stdout", "raw [2J")


def test_a_tools_own_error_comes_with_its_code_and_message(plant: Plant, ask: Ask) -> None:
    with pytest.raises(PluginFault) as caught:
        ask(plant(), "raise ToolError('NOT_FOUND', 'no such city\\x1b[31m')")
    assert caught.value.id == "TOOL_FAILED"
    assert caught.value.details == {"sent": True, "code": "NOT_FOUND", "message": "no such city [31m"}


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("1 / 0", "HANDLER_RAISED"),
        ("raise SystemExit(3)", "HANDLER_RAISED"),
        ("value = object()", "HANDLER_RAISED"),
        ("value = 'x' * 2_000_000", "OUTPUT_TOO_LARGE"),
        ("import json\nvalue = json.loads('[' * 40 + ']' * 40)", "OUTPUT_TOO_LARGE"),
    ],
)
def test_a_handler_that_fails_fails_its_call_alone(plant: Plant, ask: Ask, code: str, told: str) -> None:
    spec = plant()
    before = ask(spec, "import os\nvalue = os.getpid(), id(call.settings)")
    with pytest.raises(PluginFault) as caught:
        ask(spec, code)
    assert (caught.value.id, caught.value.details["code"]) == ("TOOL_FAILED", told)
    assert ask(spec, "import os\nvalue = os.getpid(), id(call.settings)") == before


def test_inputs_that_do_not_fit_a_message_are_refused_unsent(plant: Plant, pool: WorkerPool) -> None:
    spec = plant()
    for inputs in ({"echo": "x" * 1_100_000}, {"echo": json.loads("[" * 40 + "]" * 40)}):
        with pytest.raises(UserMistake) as caught:
            pool.call(spec, TOOL, inputs, call_id="c1", timeout=20)
        assert (caught.value.id, caught.value.details["sent"]) == ("INPUT_TOO_LARGE", False)
    large = {"echo": ["y" * 100_000] * 10}
    assert pool.call(spec, TOOL, large, call_id="c1", timeout=20)["echo"] == large["echo"]


def test_a_worker_that_dies_in_the_middle_fails_every_call_in_it(plant_raw: Plant, pool: WorkerPool) -> None:
    spec = plant_raw("read()\nread()\nread()\nprint('out of luck', file=sys.stderr, flush=True)\nos._exit(7)")
    errors: list[ClonedError] = []
    threads = [threading.Thread(target=lambda: errors.append(failure(pool, spec))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(error.id, error.details["sent"]) for error in errors] == [("WORKER_DIED", True)] * 3
    assert errors[0].details["log"] == ["out of luck"]


def test_a_call_that_is_given_up_is_cancelled_and_a_worker_that_listens_stays(plant: Plant, ask: Ask) -> None:
    spec = plant()
    marker = "import builtins\nbuiltins.kept = 1"
    ask(spec, marker)
    waiting = "import time\nwhile not call.cancelled: time.sleep(0.001)\nimport builtins\nbuiltins.kept += 1"
    with pytest.raises(PluginFault) as caught:
        ask(spec, waiting, timeout=0.05)
    assert (caught.value.id, caught.value.details["sent"]) == ("WORKER_TIMEOUT", True)
    kept = "import builtins, time\nwhile builtins.kept < 2: time.sleep(0.001)\nvalue = builtins.kept"
    assert ask(spec, kept) == 2


def test_a_worker_that_hangs_is_killed_after_the_grace_period(plant: Plant, ask: Ask, pool: WorkerPool) -> None:
    spec = plant()
    ask(spec, "import builtins\nbuiltins.kept = 1")
    held = next(iter(pool._warm.values()))
    with pytest.raises(PluginFault, match="did not answer"):
        ask(spec, "import time\ntime.sleep(1000)", timeout=0.05)
    assert held.worker.join(20)
    assert ask(spec, "import builtins\nvalue = hasattr(builtins, 'kept')") is False


def test_calls_beside_one_that_hangs_come_to_their_end(plant: Plant, ask: Ask, pool: WorkerPool) -> None:
    spec = plant()
    ask(spec, "")
    results: list[Any] = []
    beside = "import time\nwhile not hasattr(time, 'go'): time.sleep(0.001)\nvalue = 'done'"
    thread = threading.Thread(target=lambda: results.append(ask(spec, beside)))
    thread.start()
    held = next(iter(pool._warm.values()))
    with pytest.raises(PluginFault, match="did not answer"):
        ask(spec, "import time\ntime.sleep(0.8)\ntime.go = 1\ntime.sleep(1000)", timeout=0.05)
    thread.join()
    assert results == ["done"]
    assert held.worker.join(20)


def test_a_worker_that_does_not_read_is_given_up_without_blocking_the_host(plant_raw: Plant, pool: WorkerPool) -> None:
    spec = plant_raw("import time\ntime.sleep(1000)")
    with pytest.raises(PluginFault) as caught:
        pool.call(spec, TOOL, {"echo": "x" * 900_000}, call_id="c1", timeout=0.3)
    assert caught.value.id in ("WORKER_TIMEOUT", "WORKER_DIED")
    assert caught.value.details["sent"] is True


def test_a_worker_answers_pings_while_its_handlers_run(plant: Plant, ask: Ask, pool: WorkerPool) -> None:
    spec = plant()
    ask(spec, "import threading, builtins\nbuiltins.gate = threading.Event()")
    thread = threading.Thread(target=ask, args=(spec, "gate.wait(20)"))
    thread.start()
    next(iter(pool._warm.values())).worker.ping(20)
    ask(spec, "gate.set()")
    thread.join()


@pytest.mark.parametrize("source", ["1 / 0", "server = 3", "from cloned_sdk import Server\nserver = Server('other')"])
def test_a_plugin_that_does_not_start_is_told_with_its_last_words(plant: Plant, pool: WorkerPool, source: str) -> None:
    error = failure(pool, plant(source))
    assert (error.id, error.details["sent"]) == ("SPAWN_FAILED", False)
    assert "Error" in error.fact


def test_a_worker_that_speaks_another_version_is_refused(plant: Plant, pool: WorkerPool) -> None:
    from_conftest = "import os, json, sys\nframe = sys._getframe()\n"
    body = (
        "while frame.f_code.co_name != 'main': frame = frame.f_back\n"
        "source, out = frame.f_locals['source'], frame.f_locals['out']\n"
        "order = json.loads(source.readline())\n"
        "peer = {'protocolVersion': '1999-01-01', 'capabilities': {}, 'serverInfo': {'name': 'x', 'version': '1'}}\n"
        "os.write(out, json.dumps({'jsonrpc': '2.0', 'id': order['id'], 'result': peer}).encode() + b'\\n')\n"
        "source.readline()"
    )
    error = failure(pool, plant(from_conftest + body))
    assert (error.id, error.details["sent"]) == ("WORKER_PROTOCOL", False)
