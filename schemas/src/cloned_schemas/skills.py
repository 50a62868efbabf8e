"""Skill packs: a constitution and declarative pipelines, as data."""

from typing import Any, Literal

from pydantic import Field

from cloned_schemas.model import DottedId, JsonObject, Line, Name, Strict, Text, ToolId, ToolPattern, Version


class Constitution(Strict):
    """What runs of this pack may do, whatever policy would allow them beyond it."""

    allowed_tools: list[ToolPattern] = Field(min_length=1)
    denied_tools: list[ToolPattern] = []
    max_cost: dict[Name, int] = Field(default={}, description="units of each budget category that one run may take")
    sources: list[Name] = Field(default=[], description="data source labels that a run may read; empty: no narrowing")
    gates: list[ToolPattern] = Field(
        default=[], description="tools that need approval in these runs, whatever policy says"
    )


class Retry(Strict):
    """How often a step is tried."""

    attempts: int = Field(
        default=1, ge=1, le=5, description="tries in all; only reads and idempotent tools are retried"
    )


class Step(Strict):
    """One call, or one for each item. Expressions are Jinja2 in `{{ }}` over `inputs`, `steps`, `item`, `index`."""

    id: Name
    tool: ToolId
    summary: Line
    inputs: dict[str, Any] = {}
    when: str | None = None
    for_each: str | None = None
    max_items: int = Field(default=100, ge=1, le=1000)
    parallel: int = Field(default=1, ge=1, le=16)
    retry: Retry = Retry()
    on_error: Literal["stop", "continue"] = "stop"


class Pipeline(Strict):
    """What a run does, step by step."""

    id: DottedId
    version: Version
    summary: Line
    description: Text = ""
    input_schema: JsonObject
    steps: list[Step] = Field(min_length=1, max_length=50)
    result: dict[str, Any] = Field(default={}, description="what the run answers with, expressions as in steps")


class SkillPack(Strict):
    """A skill pack as a plugin ships it."""

    schema_version: Literal[1] = 1
    pack_id: DottedId
    version: Version
    summary: Line
    constitution: Constitution
    pipelines: list[Pipeline] = Field(min_length=1)
