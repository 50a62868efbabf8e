"""policy_pack: what a workspace may do. Data, never code."""

from typing import Literal

from pydantic import Field, model_validator

from cloned_schemas.config import WorkspaceType
from cloned_schemas.model import (
    DottedId,
    HostPattern,
    JsonObject,
    Line,
    Name,
    PluginId,
    PublisherId,
    Sha256,
    Strict,
    Timestamp,
    ToolId,
    ToolPattern,
    Version,
)
from cloned_schemas.tool import Effect, RiskLevel

Period = Literal["hour", "day", "week", "month"]


class BudgetRule(Strict):
    """At most `cap` units a period; periods roll over in UTC."""

    period: Period
    cap: int = Field(ge=0)


class Match(Strict):
    """Which calls a rule is about: all the fields given must hold."""

    tool_id: ToolPattern | None = None
    capability: DottedId | None = None
    risk_level: RiskLevel | None = None
    effect: Effect | None = None
    cost_category: Name | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Match":
        if not self.model_dump(exclude_none=True):
            raise ValueError("a match needs at least one of tool_id, capability, risk_level, effect, cost_category")
        return self


class ApprovalRule(Strict):
    """Calls that match wait for a person (or, with requires_approval false, are spared by a later layer)."""

    match: Match
    requires_approval: bool = True
    approvers: list[Name] = []


class Approvals(Strict):
    """Which calls wait for a person, and for how long."""

    rules: list[ApprovalRule] = []
    expire_after_hours: int = Field(default=72, ge=1, le=24 * 90)


class Allowlists(Strict):
    """Empty tools, capabilities or publishers narrow nothing; an empty egress list reaches nothing."""

    tools: list[ToolPattern] = []
    capabilities: list[DottedId] = []
    publishers: list[PublisherId] = []
    egress_domains: list[HostPattern] = []
    egress_by_connector: dict[PluginId, list[HostPattern]] = {}
    egress_by_tool: dict[ToolId, list[HostPattern]] = {}


class Denylists(Strict):
    """What nothing may use; denial always wins."""

    tools: list[ToolPattern] = []
    capabilities: list[DottedId] = []


class PolicyUi(Strict):
    """What the pack says about browsers."""

    allowed_origins: list[str] = []


class PolicyPack(Strict):
    """A pack as a plugin ships it."""

    schema_version: Literal[1] = 1
    pack_id: Name
    workspace_type: WorkspaceType
    version: Version
    summary: Line
    budgets: dict[Name, BudgetRule] = {}
    approvals: Approvals = Approvals()
    allowlists: Allowlists = Allowlists()
    denylists: Denylists = Denylists()
    ui: PolicyUi = PolicyUi()
    sources: list[Name] = Field(default=[], description="data source labels that runs may read; empty: no narrowing")
    taint: Literal["off", "approve"] = "off"
    separation_of_duties: bool = False
    publishers_min: Literal["none", "domain", "organisation"] = "none"
    native: bool = False
    retention: JsonObject = {}


class Change(Strict):
    """Who asked for a change of an overlay, who agreed, and where the audit says so."""

    requested_by: Line
    approved_by: Line
    at: Timestamp
    audit_hash: Sha256
    what: Line


class PolicyOverlay(Strict):
    """`.cloned/policy/<pack>.yaml`: what this workspace changes about its pack."""

    schema_version: Literal[1] = 1
    pack_id: Name
    budgets: dict[Name, BudgetRule] = {}
    approvals: Approvals | None = None
    allowlists: Allowlists = Allowlists()
    denylists: Denylists = Denylists()
    changes: list[Change] = []
