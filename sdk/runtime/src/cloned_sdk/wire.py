"""The messages between a host and a worker: MCP (2025-06-18) as JSON-RPC 2.0, one object a line.

Owns the shapes, the limits of a frame and the digest that pins a tool; does no I/O and knows no policy.
Source of the shapes: https://modelcontextprotocol.io/specification/2025-06-18/schema
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Literal

from msgspec import UNSET, Raw, Struct, UnsetType, field
from msgspec.json import Decoder, Encoder, decode, encode

PROTOCOL_VERSION = "2025-06-18"
MAX_FRAME = 1024 * 1024
"""Bytes of one line, its newline included."""
MAX_DEPTH = 32
"""Nested objects and arrays of one line."""
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INVALID_REQUEST = -32600

JsonObject = dict[str, Any]


class Failure(Struct, omit_defaults=True):
    """JSON-RPC's error object."""

    code: int
    message: str
    data: Any = None


class Incoming(Struct):
    """Any message as it is read: a request (method, id), a notification (method) or a reply (id, result or error)."""

    jsonrpc: Literal["2.0"]
    id: int | str | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Failure | UnsetType = UNSET


class Request(Struct, tag_field="jsonrpc", tag="2.0"):
    """A message that wants a reply."""

    id: int | str
    method: str
    params: Any


class Notification(Struct, tag_field="jsonrpc", tag="2.0"):
    """A message that wants none."""

    method: str
    params: Any


class Reply(Struct, tag_field="jsonrpc", tag="2.0"):
    """The answer to a request."""

    id: int | str
    result: Any


class Rejection(Struct, tag_field="jsonrpc", tag="2.0"):
    """The answer to a request that could not be understood."""

    id: int | str
    error: Failure


class Peer(Struct):
    """Who speaks."""

    name: str
    version: str


class Greeting(Struct, rename="camel"):
    """Parameters of `initialize`."""

    protocol_version: str
    capabilities: JsonObject
    client_info: Peer


class Welcome(Struct, rename="camel"):
    """Result of `initialize`."""

    protocol_version: str
    capabilities: JsonObject
    server_info: Peer


class WireTool(Struct, rename="camel", omit_defaults=True):
    """A tool as `tools/list` tells it. `name` is the full tool id; the schemas are JSON Schemas of objects."""

    name: str
    input_schema: JsonObject
    description: str = ""
    output_schema: JsonObject | None = None
    annotations: JsonObject | None = None


class ToolList(Struct, rename="camel", omit_defaults=True):
    """Result of `tools/list`; another page follows where `next_cursor` is set."""

    tools: list[WireTool]
    next_cursor: str | None = None


class CallMeta(Struct, rename={"progress_token": "progressToken"}, omit_defaults=True):
    """What accompanies a call: the host's id of it, and a token where the caller wants to hear of progress."""

    call_id: str = ""
    progress_token: int | str | None = None


class CallOrder(Struct):
    """Parameters of `tools/call`, as a host writes them."""

    name: str
    arguments: JsonObject
    meta: CallMeta = field(name="_meta", default_factory=CallMeta)


class CallParams(Struct):
    """Parameters of `tools/call`, as a worker reads them: the arguments are decoded by the tool's own type."""

    name: str
    arguments: Raw | UnsetType = UNSET
    meta: CallMeta = field(name="_meta", default_factory=CallMeta)


class Text(Struct, tag_field="type", tag="text"):
    """A text block, for readers that know no structured content."""

    text: str


class Answer(Struct, rename="camel"):
    """Result of `tools/call` as a worker writes it; with `is_error` the content is a ToolFault."""

    structured_content: Any
    content: list[Text] = field(default_factory=list)
    is_error: bool = False


class CallResult(Struct, rename="camel"):
    """Result of `tools/call` as a host reads it from any MCP server."""

    content: list[JsonObject] = field(default_factory=list)
    structured_content: JsonObject | None = None
    is_error: bool = False


class ToolFault(Struct):
    """A tool's own error: a code of its publisher's choosing, and what happened."""

    code: str
    message: str


class Cancelled(Struct, rename="camel", omit_defaults=True):
    """Parameters of `notifications/cancelled`."""

    request_id: int | str
    reason: str = ""


class Progress(Struct, rename="camel", omit_defaults=True):
    """Parameters of `notifications/progress`."""

    progress_token: int | str
    progress: float
    total: float | None = None
    message: str = ""


class LogLine(Struct):
    """Parameters of `cloned/log`."""

    level: str
    message: str
    call_id: str = ""


class Ceilings(Struct):
    """Resource limits that a worker puts on itself before any plugin code: bytes, seconds, counts (setrlimit(2))."""

    address_space: int
    cpu_seconds: int
    open_files: int
    file_size: int
    processes: int


class BootOrder(Struct):
    """What the host tells a worker's bootstrap; paths are as the worker sees them.

    `seccomp` holds the second filter as base64 of `struct sock_filter[]`; empty where there is no sandbox.
    """

    entry: str
    toplevel: str
    tree: str
    manifest: str
    granted: dict[str, str]
    settings: JsonObject
    limits: Ceilings | None = None
    seccomp: bytes = b""


read_message = Decoder(Incoming).decode
write_message = Encoder().encode


def tool_of(entry: Mapping[str, Any]) -> WireTool:
    """The wire form of one of a manifest's `tools` (the manifest as plain JSON). Raises KeyError, TypeError."""
    parts = [text for text in (entry["summary"], entry.get("description", "")) if text]
    return WireTool(
        name=entry["id"],
        description="\n\n".join(parts),
        input_schema=entry["input_schema"],
        output_schema=entry["output_schema"],
        annotations={
            "readOnlyHint": entry["effect"] == "read",
            "idempotentHint": bool(entry.get("idempotent", False)),
            "openWorldHint": bool(entry.get("egress")),
        },
    )


def tool_digest(tool: WireTool) -> str:
    """SHA-256 (hex) over the canonical JSON of everything that a model or a validator reads of a tool.

    Canonical: keys sorted, no spaces, UTF-8, absent parts as null. Equal for what the manifest says and what a worker
    says exactly when both say the same.
    """
    told = {
        "name": tool.name,
        "description": tool.description,
        "inputSchema": tool.input_schema,
        "outputSchema": tool.output_schema,
        "annotations": tool.annotations,
    }
    return sha256(encode(told, order="sorted")).hexdigest()


def too_deep(frame: bytes) -> bool:
    """Whether a JSON text nests deeper than MAX_DEPTH. Raises ValueError or RecursionError where it is not JSON."""
    if frame.count(b"{") + frame.count(b"[") <= MAX_DEPTH:  # cheap, and true of nearly every message
        return False
    level = [decode(frame)]
    for _ in range(MAX_DEPTH + 1):
        boxes = [box for box in level if type(box) in (dict, list)]
        if not boxes:
            return False
        level = [child for box in boxes for child in (box.values() if type(box) is dict else box)]
    return True
