"""The values that one governed call is made of, from the request to its terminal record."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from cloned.host.plugins import VerifiedPlugin
from cloned.monitor import validation
from cloned.monitor.policy import MatchedRule, Policy
from cloned_schemas.errors import ClonedError, UserMistake
from cloned_schemas.registry import Grants
from cloned_schemas.tool import Tool
from cloned_sdk.host import CallRequest, JsonObject, Outcome

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

MAX_INPUT_BYTES = 1 << 20
MAX_DEPTH = 32

encode_sorted = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Offered:
    """A tool that can be called now: by the kernel itself (`plugin` is None) or by a verified plugin.

    Its schemas are judged and compiled when they are first applied; then TOOL_SCHEMA may be raised.
    """

    tool: Tool
    plugin: VerifiedPlugin | None
    schema_id: str

    @property
    def inputs(self) -> "Draft202012Validator":
        """What inputs are held against."""
        return validation.compiled(self.schema_id, "input", self.tool)

    @property
    def output(self) -> "Draft202012Validator":
        """What an output is held against."""
        return validation.compiled(self.schema_id, "output", self.tool)

    @property
    def repeatable(self) -> bool:
        """Whether a call of unknown effect may be made again: a read, or a tool that says it is idempotent."""
        return self.tool.idempotent or self.tool.effect == "read"


@dataclass(frozen=True, slots=True)
class Authority:
    """What is in force: one consistent reading of what people accepted; `generation` is the database's by then."""

    policy: Policy | None
    offers: Mapping[str, Offered]
    refused: Mapping[str, ClonedError]
    grants: Mapping[str, Grants]
    generation: int
    fingerprint: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """A request after the steps that only judge (1 to 5), with what each of them decided."""

    call_id: str
    request: CallRequest
    offered: Offered
    payload_hash: str
    costs: Mapping[str, int]
    approval_rules: tuple[MatchedRule, ...]
    decision: JsonObject
    authority: Authority


@dataclass(frozen=True, slots=True)
class Reservation:
    """Units taken from one window of a budget until the call is settled."""

    category: str
    period: str
    starts_at: str
    amount: int


@dataclass(frozen=True, slots=True)
class Authorized:
    """A call whose approval, budget and row are durable. Only an intent in the audit lets it go further."""

    judged: Judged
    reservations: tuple[Reservation, ...]
    approval_request: str | None


@dataclass(frozen=True, slots=True)
class Result:
    """How the dispatch ended. `counted` tells whether the reservation is spent."""

    outcome: Outcome
    output: JsonObject | None = None
    error_id: str | None = None
    message: str | None = None
    flags: tuple[tuple[str, str], ...] = ()
    counted: bool = True


def payload_digest(tool_id: str, inputs: Mapping[str, Any]) -> str:
    """SHA-256 of the tool id and the inputs as sorted JSON.

    Raises UserMistake for inputs that are not JSON, too large (1 MiB) or too deep (32).
    """
    try:
        encoded = plain_json(inputs)
    except ValueError as error:
        raise UserMistake("INPUT_INVALID", f"inputs of {tool_id} {error}") from error
    if len(encoded) > MAX_INPUT_BYTES:
        raise UserMistake(
            "INPUT_TOO_LARGE", f"inputs of {tool_id} take {len(encoded)} bytes; at most {MAX_INPUT_BYTES}"
        )
    return hashlib.sha256(tool_id.encode() + b"\0" + encoded).hexdigest()


def plain_json(value: object) -> bytes:
    """A value as sorted JSON, of which a reader makes the very same value. Raises ValueError; its text says why.

    What reads back as something else (NaN as null, bytes as text) would run as one thing and be approved as another.
    """
    try:
        encoded = encode_sorted(value)
        same = msgspec.json.decode(encoded) == value
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"are not plain JSON: {error}") from error
    if not same:
        raise ValueError("are not plain JSON: a value in them would be read back as another one")
    if _depth(value) > MAX_DEPTH:
        raise ValueError(f"are nested deeper than {MAX_DEPTH} levels")
    return encoded


def output_digest(output: JsonObject | None) -> str | None:
    """SHA-256 of an output as sorted JSON; None where there is none."""
    return None if output is None else hashlib.sha256(encode_sorted(output)).hexdigest()


def _depth(value: object, level: int = 1) -> int:
    if level > MAX_DEPTH or not isinstance(value, dict | list):
        return level
    parts = value.values() if isinstance(value, dict) else value
    return max((_depth(part, level + 1) for part in parts), default=level)
