"""What the monitor writes and hands on: envelope, audit entry, approval, artifact manifest, event."""

from typing import Literal

from pydantic import Field

from cloned_schemas.model import JsonObject, Kept, Line, Name, PluginId, Sha256, Timestamp, ToolId, Version

Outcome = Literal["success", "failure", "blocked", "dry_run", "approval_required", "ambiguous"]


class Envelope(Kept):
    """A call: what the caller gave, what the surface added, what the monitor computed."""

    call_id: str
    tool_id: ToolId
    version: Version
    schema_id: Sha256
    inputs: JsonObject
    correlation_id: str = Field(max_length=200)
    caller: Line
    run_id: str | None = None
    dry_run: bool = False
    cost_estimate: JsonObject | None = None
    requires_approval: bool
    redaction_classes: list[Name] = []


class AuditEntry(Kept):
    """One line of audit.log. Strings, integers, booleans, null, lists and objects with ASCII keys alone."""

    seq: int = Field(ge=1)
    id: str
    timestamp: Timestamp
    kind: Literal[
        "intent", "outcome", "decision", "install", "policy", "trust", "vault", "workspace", "recovery", "refusal"
    ]
    workspace_id: str
    actor: Line
    outcome: Outcome | None = None
    call_id: str | None = None
    correlation_id: str | None = None
    run_id: str | None = None
    tool_id: ToolId | None = None
    tool_version: Version | None = None
    schema_id: Sha256 | None = None
    input_hash: Sha256 | None = None
    output_hash: Sha256 | None = None
    policy_decision: JsonObject | None = None
    costs: JsonObject | None = None
    error_id: str | None = None
    artifact_manifest_hash: Sha256 | None = None
    dry_run: bool | None = None
    sources: list[str] | None = None
    details: JsonObject | None = None
    chain_prev_hash: Sha256
    chain_this_hash: Sha256


class ApprovalRecord(Kept):
    """One row of the append-only, hash-chained approvals: a request, a decision, a use or a use given back."""

    seq: int = Field(ge=1)
    id: str
    kind: Literal["request", "decision", "use", "release"]
    request_id: str
    call_id: str | None = None
    at: Timestamp
    actor: Line
    body: JsonObject
    prev_hash: Sha256
    this_hash: Sha256


class ToolCallRef(Kept):
    """A call that an artifact was made with."""

    tool_id: ToolId
    version: Version
    envelope_hash: Sha256


class Provenance(Kept):
    """Where a cited passage comes from."""

    citation: int = Field(ge=1)
    source: str
    locator: str
    retrieved_at: Timestamp
    content_hash: Sha256


class ArtifactManifest(Kept):
    """How an artifact came to be and what it holds."""

    schema_version: Literal[1] = 1
    artifact_id: str
    name: Line
    media_type: Line
    pipeline_id: str | None = None
    pipeline_version: str | None = None
    run_id: str | None = None
    created_at: Timestamp
    inputs_hash: Sha256
    tool_calls: list[ToolCallRef] = []
    connector_versions: dict[PluginId, Version] = {}
    schema_ids: dict[str, str] = Field(default={}, description="each contract used, with its $id")
    provenance: list[Provenance] = []
    content_hashes: dict[str, Sha256]


class Event(Kept):
    """One row of the ordered log of what happened."""

    seq: int = Field(ge=1)
    id: str
    type: str = Field(pattern=r"^[a-z]+(\.[a-z_]+)+$")
    at: Timestamp
    subject: str
    data: JsonObject
