"""Serve a worker's tools over a pair of pipes: read a line, answer it, run handlers on a few threads.

Owns the worker's side of the protocol and the first of the SDK's walls: whatever a handler raises becomes an error
of that one call. Refuses frames over the limits by ending the process; a host that breaks the protocol is no host.
"""

import os
import threading
import traceback
from collections.abc import Mapping
from queue import SimpleQueue
from typing import Any, BinaryIO

from msgspec import UNSET, Raw, ValidationError
from msgspec.json import decode, encode

from cloned_sdk.tools import BoundTool, Call, ToolError
from cloned_sdk.wire import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    MAX_FRAME,
    METHOD_NOT_FOUND,
    PROTOCOL_VERSION,
    Answer,
    CallParams,
    Cancelled,
    Failure,
    Greeting,
    Incoming,
    Peer,
    Rejection,
    Reply,
    Text,
    ToolFault,
    ToolList,
    Welcome,
    read_message,
    too_deep,
    write_message,
)

HANDLER_THREADS = 16
_Job = tuple[int | str, BoundTool, Raw, Call]


class Service:
    """One conversation with one host."""

    def __init__(
        self, tools: Mapping[str, BoundTool], *, name: str, settings: Mapping[str, Any], granted: Mapping[str, str]
    ) -> None:
        self._tools = tools
        self._name = name
        self._settings = settings
        self._granted = granted
        self._out = -1
        self._writing = threading.Lock()
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._calls: dict[int | str, Call] = {}
        self._threads = 0
        self._requests = {"initialize": self._greet, "ping": self._pong, "tools/list": self._list}

    def run(self, source: BinaryIO, out: int) -> None:
        """Serve until `source` ends. `out` is a file descriptor that nothing else writes to."""
        self._out = out
        while line := source.readline(MAX_FRAME + 1):
            if len(line) > MAX_FRAME or not line.endswith(b"\n"):
                raise SystemExit("the host sent a message over the limit, or only a part of one")
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            message = read_message(line)
            deep = too_deep(line)
        except (ValueError, RecursionError) as problem:  # DecodeError and UnicodeDecodeError are ValueErrors
            raise SystemExit(f"the host sent something that is no message: {problem}") from problem
        if message.method is UNSET:
            return  # a reply; this worker asked nothing
        if message.id is UNSET:
            self._notice(message)
        elif deep:
            self._send(Rejection(message.id, Failure(INVALID_REQUEST, "the message nests too deep")))
        elif message.method == "tools/call":
            self._order(message.id, message)
        elif (answer := self._requests.get(message.method)) is not None:
            answer(message.id, message)
        else:
            self._send(Rejection(message.id, Failure(METHOD_NOT_FOUND, f"no method {message.method}")))

    def _notice(self, message: Incoming) -> None:
        if message.method == "notifications/cancelled" and message.params is not UNSET:
            call = self._calls.get(decode(message.params, type=Cancelled).request_id)
            if call is not None:
                call.cancelled = True

    def _greet(self, request: int | str, message: Incoming) -> None:
        if message.params is UNSET:
            self._send(Rejection(request, Failure(INVALID_PARAMS, "initialize needs parameters")))
            return
        decode(message.params, type=Greeting)
        # One version is spoken here; a host that speaks others too goes down to it, as MCP has it.
        self._send(Reply(request, Welcome(PROTOCOL_VERSION, {"tools": {}}, Peer(self._name, "1"))))

    def _pong(self, request: int | str, _: Incoming) -> None:
        self._send(Reply(request, {}))

    def _list(self, request: int | str, _: Incoming) -> None:
        self._send(Reply(request, ToolList([tool.described for tool in self._tools.values()])))

    def _order(self, request: int | str, message: Incoming) -> None:
        try:
            order = decode(b"{}" if message.params is UNSET else message.params, type=CallParams)
            tool = self._tools[order.name]
        except (ValueError, KeyError) as problem:
            self._send(Rejection(request, Failure(INVALID_PARAMS, f"no such call: {problem}")))
            return
        call = Call(
            tool_id=order.name,
            call_id=order.meta.call_id,
            settings=self._settings,
            granted=self._granted,
            send=self._send,
            token=order.meta.progress_token,
        )
        self._calls[request] = call
        if self._threads < min(HANDLER_THREADS, len(self._calls)):
            self._threads += 1
            threading.Thread(target=self._work, daemon=True).start()
        self._jobs.put((request, tool, Raw(b"{}") if order.arguments is UNSET else order.arguments, call))

    def _work(self) -> None:
        while True:
            request, tool, arguments, call = self._jobs.get()
            answer = perform(tool, arguments, call)
            del self._calls[request]
            self._send(Reply(request, answer))

    def _send(self, message: object) -> None:
        frame = write_message(message) + b"\n"
        if isinstance(message, Reply) and (len(frame) > MAX_FRAME or too_deep(frame)):
            problem = f"the output takes {len(frame)} bytes or nests too deep; a message holds {MAX_FRAME}"
            frame = write_message(Reply(message.id, _fault("OUTPUT_TOO_LARGE", problem))) + b"\n"
        elif len(frame) > MAX_FRAME:
            return  # a log line or a progress report of a megabyte is worth nothing
        with self._writing:
            while frame:
                frame = frame[os.write(self._out, frame) :]


def perform(tool: BoundTool, arguments: Raw, call: Call) -> Answer:
    """Run one handler to its end; whatever happens becomes its answer."""
    if call.cancelled:
        return _fault("CANCELLED", "cancelled before it began")
    try:
        output = encode(tool.handler(tool.read_inputs(arguments), call))
    except ToolError as error:
        return _fault(error.code, error.message)
    except (ValidationError, UnicodeDecodeError) as error:
        return _fault("INPUT_INVALID", str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the wall: one call fails, the worker goes on
        traceback.print_exc()
        return _fault("HANDLER_RAISED", f"{type(error).__name__}: {error}")
    if not output.startswith(b"{"):
        return _fault("OUTPUT_INVALID", "the handler returned something that is no object")
    return Answer(Raw(output))


def _fault(code: str, message: str) -> Answer:
    return Answer(ToolFault(code, message), [Text(message)], is_error=True)
