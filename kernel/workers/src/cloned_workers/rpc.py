"""Speak MCP to one worker process over its pipes, believing nothing it says.

Owns the process from its start to its reaping, the matching of replies to calls, deadlines and frame limits. A worker
that breaks a rule is killed and every waiting call fails; judging what a tool says of itself is the pool's. Any number
of threads may call at once; one thread reads.
"""

import os
import select
import signal
import subprocess
import threading
from collections import deque
from contextlib import suppress
from itertools import count
from time import monotonic
from typing import Any, TypeVar

import msgspec

from cloned_schemas.errors import ClonedError, error_for
from cloned_sdk import wire
from cloned_sdk.wire import JsonObject

_LOG_LINES = 200
_LINE_BYTES = 4096
_ASIDE_SECONDS = 0.5
_MAX_PAGES = 16
_MAX_UNASKED = 10_000
_Shape = TypeVar("_Shape")


class _Violation(Exception):  # noqa: N818 - never leaves this module
    """The worker broke the protocol; the text says how."""


class _Waiter:
    """One request on its way: `done` is held until there is a reply, or none can come any more."""

    __slots__ = ("done", "reply", "sent")

    def __init__(self) -> None:
        self.done = threading.Lock()
        self.done.acquire()
        self.sent = False
        self.reply: wire.Incoming | None = None


class Worker:
    """A running worker. `name` says in errors whose it is; `details["sent"]` of an error, whether it may have acted."""

    def __init__(self, process: "subprocess.Popen[bytes]", name: str) -> None:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise ValueError("a worker needs pipes on its three standard streams")
        self.name = name
        self.tools_changed = False
        self._process = process
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        os.set_blocking(self._stdin.fileno(), False)
        self._unasked = 0
        self._ids = count(1)
        self._state = threading.Lock()
        self._waiting: dict[int, _Waiter] = {}
        self._given_up: dict[int, float] = {}
        self._end: tuple[str, str] | None = None
        self._writing = threading.Lock()
        self._reaping = threading.Lock()
        self._log: deque[bytes] = deque(maxlen=_LOG_LINES)
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._drain, self._read)]
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether calls may still be sent."""
        return self._end is None

    @property
    def stuck_since(self) -> float | None:
        """When the first call was given up that still runs in the worker (monotonic seconds)."""
        with self._state:
            return min(self._given_up.values(), default=None)

    def log(self) -> tuple[str, ...]:
        """The last lines of the worker's stderr and log messages, without control characters."""
        return tuple(printable(line.decode(errors="replace")) for line in tuple(self._log))

    def greet(self, timeout: float) -> None:
        """The opening of MCP: versions must agree."""
        greeting = wire.Greeting(wire.PROTOCOL_VERSION, {}, wire.Peer("cloned", "1"))
        welcome = self._ask("initialize", greeting, timeout, wire.Welcome)
        if welcome.protocol_version != wire.PROTOCOL_VERSION:
            raise self._refusal(f"it speaks protocol version {printable(welcome.protocol_version)}")
        self._tell("notifications/initialized", {})

    def ping(self, timeout: float) -> None:
        """Return when the worker has answered."""
        self._ask("ping", {}, timeout, JsonObject)

    def list_tools(self, timeout: float) -> list[wire.WireTool]:
        """What the worker says it offers, all pages of it."""
        self.tools_changed = False
        tools: list[wire.WireTool] = []
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            page = self._ask("tools/list", {} if cursor is None else {"cursor": cursor}, timeout, wire.ToolList)
            tools += page.tools
            cursor = page.next_cursor
            if cursor is None:
                return tools
        raise self._refusal("its list of tools does not end")

    def call_tool(self, tool_id: str, arguments: JsonObject, *, call_id: str, timeout: float) -> JsonObject:
        """One tool call; the structured content of its result, or `{"content": […]}` of a server that has none.

        `timeout` is in seconds. Raises UserMistake INPUT_TOO_LARGE, PluginFault WORKER_DIED, WORKER_TIMEOUT,
        WORKER_PROTOCOL and TOOL_FAILED (details: the tool's own `code` and `message`).
        """
        order = wire.CallOrder(tool_id, arguments, wire.CallMeta(call_id))
        result = self._ask("tools/call", order, timeout, wire.CallResult)
        if result.is_error:
            raise self._fault(tool_id, result)
        return {"content": result.content} if result.structured_content is None else result.structured_content

    def kill(self, error_id: str, fact: str) -> None:
        """End the worker; calls still waiting fail with that error. The reading thread reaps it."""
        with self._state:
            self._end = self._end or (error_id, fact)
        self._signal()

    def join(self, timeout: float) -> bool:
        """Wait until the process is reaped and its pipes are closed; whether that is so."""
        self._threads[1].join(timeout)
        return not self._threads[1].is_alive()

    # Asking

    def _ask(self, method: str, params: object, timeout: float, shape: type[_Shape]) -> _Shape:
        deadline = monotonic() + timeout
        number, waiter = next(self._ids), _Waiter()
        frame = self._frame(wire.Request(number, method, params))
        with self._state:
            if self._end is not None:
                raise self._ended(sent=False)
            self._waiting[number] = waiter
        self._write(frame, deadline, waiter)
        if not waiter.done.acquire(timeout=max(0.0, deadline - monotonic())):
            self._give_up(number, waiter, timeout)
        if waiter.reply is None:
            raise self._ended(sent=waiter.sent)
        return self._result(waiter.reply, shape)

    def _frame(self, message: wire.Request) -> bytes:
        frame = wire.write_message(message) + b"\n"
        if len(frame) > wire.MAX_FRAME or wire.too_deep(frame):
            fact = f"the inputs take {len(frame)} bytes or nest too deep; {wire.MAX_FRAME} bytes go in one call"
            raise error_for("INPUT_TOO_LARGE", fact, details={"sent": False})
        return frame

    def _give_up(self, number: int, waiter: _Waiter, timeout: float) -> None:
        with self._state:
            if self._waiting.pop(number, None) is None:
                return  # the answer came after all
            if waiter.sent:
                self._given_up[number] = monotonic()
        if waiter.sent:
            self._tell("notifications/cancelled", wire.Cancelled(number, "timeout"))
        fact = f"the worker of {self.name} did not answer within {timeout:g} s"
        raise error_for("WORKER_TIMEOUT", fact, details={"sent": waiter.sent})

    def _result(self, reply: wire.Incoming, shape: type[_Shape]) -> _Shape:
        if isinstance(reply.error, wire.Failure):
            message, code = printable(reply.error.message), str(reply.error.code)
            details = {"sent": True, "code": code, "message": message}
            raise error_for("TOOL_FAILED", f"the worker of {self.name} refused: {message}", details=details)
        result = bytes(reply.result) if isinstance(reply.result, msgspec.Raw) else b""
        try:
            if not wire.too_deep(result):
                return msgspec.json.decode(result, type=shape)
        except (ValueError, RecursionError) as problem:  # DecodeError and UnicodeDecodeError are ValueErrors
            raise self._refusal(f"its result is not of the protocol's form: {problem}") from problem
        raise self._refusal(f"its result nests deeper than {wire.MAX_DEPTH}")

    def _fault(self, tool_id: str, result: wire.CallResult) -> ClonedError:
        told = result.structured_content or {}
        texts = [block["text"] for block in result.content if isinstance(block.get("text"), str)]
        code = printable(str(told.get("code", "TOOL_ERROR")))
        message = printable(str(told.get("message", " ".join(texts))))
        details = {"sent": True, "code": code, "message": message}
        return error_for("TOOL_FAILED", f"{tool_id} reports {code}: {message}", details=details)

    # Writing

    def _tell(self, method: str, params: object) -> None:
        self._write(wire.write_message(wire.Notification(method, params)) + b"\n", monotonic() + _ASIDE_SECONDS, None)

    def _write(self, frame: bytes, deadline: float, waiter: _Waiter | None) -> None:
        """Write a whole frame, or part of it and kill, or nothing. The waiter learns whether any byte went out."""
        if not self._writing.acquire(timeout=max(0.0, deadline - monotonic())):
            return
        try:
            rest = memoryview(frame)
            while rest and self._end is None:
                try:
                    written = os.write(self._stdin.fileno(), rest)
                except BlockingIOError:
                    if not self._writable(deadline):
                        break
                    continue
                rest = rest[written:]
                if waiter is not None:
                    waiter.sent = True
            if 0 < len(rest) < len(frame):
                self.kill("WORKER_DIED", f"the worker of {self.name} stopped reading in the middle of a message")
        except BrokenPipeError:
            self.kill("WORKER_DIED", f"the worker of {self.name} has ended")
        finally:
            self._writing.release()

    def _writable(self, deadline: float) -> bool:
        poll = select.poll()  # select.select fails beyond descriptor 1023
        poll.register(self._stdin.fileno(), select.POLLOUT)
        return bool(poll.poll(max(0.0, deadline - monotonic()) * 1000))

    # Reading

    def _drain(self) -> None:
        with self._stderr:
            while line := self._stderr.readline(_LINE_BYTES):
                self._log.append(line)

    def _read(self) -> None:
        try:
            with self._stdout:
                while line := self._stdout.readline(wire.MAX_FRAME + 1):
                    self._take(line)
        except _Violation as broken:
            self.kill("WORKER_PROTOCOL", f"the worker of {self.name} broke the protocol: {broken}")
        finally:
            self._finish()

    def _take(self, line: bytes) -> None:
        if len(line) > wire.MAX_FRAME or not line.endswith(b"\n"):
            raise _Violation("a message is over the limit or has no end")
        try:
            message = wire.read_message(line)
        except (ValueError, RecursionError) as problem:  # DecodeError and UnicodeDecodeError are ValueErrors
            raise _Violation(f"a line is no message ({problem})") from problem
        if isinstance(message.method, str):
            self._hear(message.method, message)
            return
        if (message.result is msgspec.UNSET) == (message.error is msgspec.UNSET):
            raise _Violation("a reply has neither or both of result and error")
        self._unasked = 0
        number = message.id if isinstance(message.id, int) else 0  # ours count from 1
        with self._state:
            waiter = self._waiting.pop(number, None)
            if waiter is None and self._given_up.pop(number, None) is None:
                raise _Violation(f"a reply to {printable(str(message.id))}, which nobody asked or which is answered")
        if waiter is not None:
            waiter.reply = message
            waiter.done.release()

    def _hear(self, method: str, message: wire.Incoming) -> None:
        self._unasked += 1
        if self._unasked > _MAX_UNASKED:
            raise _Violation("it talks without end and answers nothing")
        if not isinstance(message.id, msgspec.UnsetType):
            known = method == "ping"
            unknown = wire.Failure(wire.METHOD_NOT_FOUND, "a worker may ask nothing of this host")
            reply = wire.Reply(message.id, {}) if known else wire.Rejection(message.id, unknown)
            self._write(wire.write_message(reply) + b"\n", monotonic() + _ASIDE_SECONDS, None)
        elif method == "notifications/tools/list_changed":
            self.tools_changed = True
        elif method in ("cloned/log", "notifications/message") and isinstance(message.params, msgspec.Raw):
            self._log.append(bytes(message.params)[:_LINE_BYTES])

    # Ending

    def _signal(self) -> None:
        with self._reaping:  # a process that is not reaped keeps its number, so this can hit no other
            if self._process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def _finish(self) -> None:
        """Kill what is left, reap it, close the pipes, fail who waits."""
        with self._state:
            self._end = self._end or ("WORKER_DIED", f"the worker of {self.name} ended by itself")
        self._signal()
        with self._reaping:
            self._process.wait()
        self._threads[0].join(_ASIDE_SECONDS)
        with self._writing:
            self._stdin.close()
        with self._state:
            left, self._waiting = list(self._waiting.values()), {}
        for waiter in left:
            waiter.done.release()

    def _ended(self, *, sent: bool) -> ClonedError:
        error_id, fact = self._end or ("WORKER_DIED", f"the worker of {self.name} has ended")
        details: dict[str, Any] = {"sent": sent, "log": list(self.log()[-20:]), "status": self._process.returncode}
        return error_for(error_id, fact, details=details)

    def _refusal(self, broken: str) -> ClonedError:
        self.kill("WORKER_PROTOCOL", f"the worker of {self.name} broke the protocol: {broken}")
        return self._ended(sent=True)


def printable(text: str) -> str:
    """A worker's text for messages and logs: one line, at most 2,000 characters, no control or format characters."""
    return "".join(char if char.isprintable() else " " for char in text[:2000]).strip()
