"""A tool as its publisher declares it and the monitor judges it."""

from typing import Literal

from pydantic import Field

from cloned_schemas.model import DottedId, HostPattern, JsonObject, Line, Name, Strict, Text, ToolId, Version

RiskLevel = Literal["low", "medium", "high"]
Effect = Literal["read", "write", "publish"]
RedactionClass = Literal["secret", "token", "pii", "header", "path"]


class EgressTarget(Strict):
    """One host that a plugin says it needs to reach. `*.example.com` stands for exactly one label."""

    host: HostPattern
    port: int = Field(default=443, ge=1, le=65535)
    methods: list[Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]] = Field(default=["GET"], min_length=1)


class Cost(Strict):
    """What one call takes from a budget, in the category's whole units."""

    category: Name
    estimator: Literal["constant", "per-unit", "unknown"] = "constant"
    amount: int = Field(default=1, ge=0, description="units of a call (constant) or of one item (per-unit)")
    per: str | None = Field(default=None, description="JSON pointer into the inputs: a number, or a list to count")


class RedactionRule(Strict):
    """A field that never reaches a log as it is."""

    pointer: str = Field(pattern=r"^(inputs|outputs)(/[^/]+)+$")
    redaction_class: RedactionClass


class Tool(Strict):
    """One tool. Its id is `<namespace>.<path>@v<major>` and, once published, never means anything else."""

    id: ToolId
    version: Version
    summary: Line
    description: Text = ""
    input_schema: JsonObject
    output_schema: JsonObject
    capability: DottedId
    risk_level: RiskLevel
    effect: Effect
    permissions_required: list[DottedId] = []
    cost: Cost | None = None
    redaction_rules: list[RedactionRule] = []
    egress: list[EgressTarget] = []
    secrets: list[Name] = []
    untrusted_output: bool = Field(
        default=True, description="outputs hold text from outside; the content guard reads it"
    )
    idempotent: bool = False
    compensated_by: ToolId | None = None
    timeout_seconds: int = Field(default=60, ge=1, le=3600)
