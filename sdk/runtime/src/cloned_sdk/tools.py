"""What the author of a worker sees: `Server` collects tools, a `Call` is lent to each handler, `ToolError` fails one.

Owns the meeting of handlers and signed manifest; neither reads nor writes a pipe (serve.py does) and never describes
a tool by itself: what a tool is called, says and takes stands in the manifest alone.
"""

import inspect
import typing
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from msgspec import Struct
from msgspec.json import Decoder, decode

from cloned_sdk.wire import LogLine, Notification, Progress, WireTool, tool_of

if TYPE_CHECKING:
    from pathlib import Path

Handler = Callable[[Any, "Call"], Any]
HandlerT = TypeVar("HandlerT", bound=Handler)


class ToolError(Exception):
    """A tool's own failure, told to the caller by a code of the publisher's choosing and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Call:
    """One call, as its handler may know it. Keep nothing of it after the handler has returned."""

    __slots__ = ("_granted", "_send", "_token", "call_id", "cancelled", "settings", "tool_id")

    def __init__(
        self,
        *,
        tool_id: str,
        call_id: str,
        settings: Mapping[str, Any],
        granted: Mapping[str, str],
        send: Callable[[Notification], None],
        token: int | str | None,
    ) -> None:
        self.tool_id = tool_id
        self.call_id = call_id
        self.settings = settings
        self.cancelled = False
        self._granted = granted
        self._send = send
        self._token = token

    @property
    def granted(self) -> "Mapping[str, Path]":
        """The folders that a person granted, by name; read-only."""
        from pathlib import Path  # noqa: PLC0415 - 10 ms that most workers' start need not pay

        return MappingProxyType({name: Path(place) for name, place in self._granted.items()})

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Tell how far the work is, in units of the handler's choosing; goes nowhere unless the caller asked for it."""
        if self._token is not None:
            report = Progress(progress_token=self._token, progress=done, total=total, message=message)
            self._send(Notification("notifications/progress", report))

    def log(self, level: Literal["debug", "info", "warning", "error"], message: str) -> None:
        """One line for the worker's log."""
        self._send(Notification("cloned/log", LogLine(level, message, self.call_id)))


class BoundTool:
    """A handler with the decoder of its inputs and the manifest's description of it."""

    __slots__ = ("described", "handler", "read_inputs")

    def __init__(self, described: WireTool, handler: Handler) -> None:
        self.described = described
        self.handler = handler
        # Checked at registration; by now every name in the annotations exists.
        hints = typing.get_type_hints(handler, include_extras=True)
        first = next(iter(inspect.signature(handler).parameters))
        self.read_inputs: Callable[[Any], Any] = Decoder(hints.get(first, dict)).decode


class Server:
    """The tools of one worker plugin. `package` is the plugin's import package.

    Example::

        server = Server("acme_weather")

        @server.tool("acme.weather.today@v1")
        def today(inputs: Today, call: Call) -> Forecast: ...
    """

    def __init__(self, package: str) -> None:
        self.package = package
        self._handlers: dict[str, Handler] = {}

    def tool(self, tool_id: str) -> Callable[[HandlerT], HandlerT]:
        """Register a handler for a tool of the manifest.

        A handler is a synchronous function of (inputs, call); inputs and output are msgspec Structs or dicts. It runs
        on a thread of a small pool, possibly beside itself. Raises ValueError for a second handler of the same tool
        and TypeError for a function of another form.
        """

        def register(handler: HandlerT) -> HandlerT:
            if tool_id in self._handlers:
                raise ValueError(f"{tool_id} has a handler already; give each tool one function")
            if inspect.iscoroutinefunction(handler) or len(inspect.signature(handler).parameters) != 2:  # noqa: PLR2004
                raise TypeError(f"the handler of {tool_id} must be a plain function of (inputs, call)")
            self._handlers[tool_id] = handler
            return handler

        return register

    def bind(self, manifest: bytes) -> dict[str, BoundTool]:
        """Every tool of the manifest with its handler, by tool id, in the manifest's order.

        Raises ValueError where a tool has no handler, a handler no tool, or the manifest is another package's.
        """
        document = decode(manifest, type=_Manifest)
        if document.id.replace("-", "_") != self.package:
            raise ValueError(f"the manifest is of {document.id}, the server of package {self.package}")
        described = {tool.name: tool for tool in map(tool_of, document.tools)}
        if described.keys() != self._handlers.keys():
            lacking = sorted(described.keys() - self._handlers.keys())
            unknown = sorted(self._handlers.keys() - described.keys())
            raise ValueError(f"manifest and handlers differ: without handler {lacking}, not in the manifest {unknown}")
        return {name: BoundTool(tool, self._handlers[name]) for name, tool in described.items()}


class _Manifest(Struct):
    id: str
    tools: list[dict[str, Any]] = []
