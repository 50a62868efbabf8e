"""A skill pack's values, decoded strictly. Owns the shape alone; whether a pipeline holds together is `plan.py`'s.

The Structs say exactly what the published contract `skill_pack.schema.json` says; a contract test compares the two.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from cloned_sdk import host

# `\Z` and not `$`: Python's `$` also matches before a line break at the end.
Version = Annotated[str, Meta(pattern=r"^\d+\.\d+\.\d+((a|b|rc)\d+)?(\.(post|dev)\d+)?\Z", max_length=40)]
ToolId = Annotated[str, Meta(pattern=r"^[a-z0-9-]+(\.[a-z0-9_-]+)+@v[1-9]\d{0,3}\Z", max_length=160)]
ToolPattern = Annotated[str, Meta(pattern=r"^[a-z0-9-]+(\.[a-z0-9_-]+)*(\.\*|@v[1-9]\d{0,3})\Z", max_length=160)]
DottedId = Annotated[str, Meta(pattern=r"^[a-z0-9_-]+(\.[a-z0-9_-]+)*\Z", max_length=160)]
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]*\Z", max_length=60)]
Line = Annotated[str, Meta(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]+\Z")]
Text = Annotated[str, Meta(max_length=4000)]


class Constitution(Struct, frozen=True, forbid_unknown_fields=True):
    """What runs of this pack may do, whatever policy would allow them beyond it."""

    allowed_tools: Annotated[list[ToolPattern], Meta(min_length=1)]
    denied_tools: list[ToolPattern] = []
    max_cost: dict[Name, int] = {}
    sources: list[Name] = []
    gates: list[ToolPattern] = []

    def lent(self) -> host.Constitution:
        """The same as the value that goes with every call of a run."""
        return host.Constitution(
            allowed_tools=tuple(self.allowed_tools),
            denied_tools=tuple(self.denied_tools),
            max_cost=dict(self.max_cost),
            sources=tuple(self.sources),
            gates=tuple(self.gates),
        )

    def covers(self, tool_id: str) -> bool:
        """Whether a call of this tool could pass. For showing alone: the monitor decides, at each call."""
        return _any(self.allowed_tools, tool_id) and not _any(self.denied_tools, tool_id)


def _any(patterns: list[str], tool_id: str) -> bool:
    return any(
        tool_id.startswith(pattern[:-1]) if pattern.endswith(".*") else pattern == tool_id for pattern in patterns
    )


class Retry(Struct, frozen=True, forbid_unknown_fields=True):
    """How often a step is tried; only reads and idempotent tools are tried again."""

    attempts: Annotated[int, Meta(ge=1, le=5)] = 1


class Step(Struct, frozen=True, forbid_unknown_fields=True):
    """One call, or one for each item."""

    id: Name
    tool: ToolId
    summary: Line
    inputs: dict[str, Any] = {}
    when: str | None = None
    for_each: str | None = None
    max_items: Annotated[int, Meta(ge=1, le=1000)] = 100
    parallel: Annotated[int, Meta(ge=1, le=16)] = 1
    retry: Retry = Retry()
    on_error: Literal["stop", "continue"] = "stop"


class Pipeline(Struct, frozen=True, forbid_unknown_fields=True):
    """What a run does, step by step."""

    id: DottedId
    version: Version
    summary: Line
    input_schema: dict[str, Any]
    steps: Annotated[list[Step], Meta(min_length=1, max_length=50)]
    description: Text = ""
    result: dict[str, Any] = {}


class SkillPack(Struct, frozen=True, forbid_unknown_fields=True):
    """A skill pack as a plugin ships it."""

    pack_id: DottedId
    version: Version
    summary: Line
    constitution: Constitution
    pipelines: Annotated[list[Pipeline], Meta(min_length=1)]
    schema_version: Literal[1] = 1
