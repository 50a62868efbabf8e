"""What a kernel plugin is lent, and the frozen values it answers with.

A plugin gets a `Host` passed in and reaches nothing else of the kernel. Worker plugins need none of this.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

JsonObject = dict[str, Any]


class Refused(Exception):  # noqa: N818 - it is an answer, named as one
    """A plugin's own refusal, by an error id of the registry; the kernel turns it into that family's error."""

    def __init__(
        self, error_id: str, fact: str, *, repair: str | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"{error_id}: {fact}")
        self.error_id = error_id
        self.fact = fact
        self.repair = repair
        self.details = dict(details or {})


@dataclass(frozen=True, slots=True)
class Constitution:
    """What one run may do at most: tool ids or `prefix.*`, units a budget category, source labels."""

    allowed_tools: tuple[str, ...]
    denied_tools: tuple[str, ...] = ()
    max_cost: Mapping[str, int] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One call as a surface asks for it. The key of a repeat is (caller, tool_id, correlation_id)."""

    tool_id: str
    inputs: JsonObject
    correlation_id: str
    caller: str
    run_id: str | None = None
    constitution: Constitution | None = None
    sources: tuple[str, ...] = ()
    dry_run: bool = False


Outcome = Literal["success", "failure", "blocked", "dry_run", "approval_required", "ambiguous"]


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """The one terminal record of a call. `output` is set on success alone; `approval_id` when a person must decide.

    `replayed` tells that this is the recorded outcome of an earlier, equal call. `flags` are what the content guard
    found in the output: (class, position) pairs. `judgement` is what each step decided, redacted.
    """

    call_id: str
    outcome: Outcome
    output: JsonObject | None = None
    error_id: str | None = None
    message: str | None = None
    approval_id: str | None = None
    flags: tuple[tuple[str, str], ...] = ()
    costs: Mapping[str, int] = field(default_factory=dict)
    replayed: bool = False
    judgement: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolInfo:
    """What is known of an offered tool without calling it."""

    id: str
    version: str
    plugin_id: str
    summary: str
    effect: str
    risk_level: str
    idempotent: bool
    cost_category: str | None
    input_schema: JsonObject
    output_schema: JsonObject


@dataclass(frozen=True, slots=True)
class SkillPackSource:
    """A skill pack as an enabled, verified plugin contributes it: YAML text to be judged by whoever runs it."""

    plugin_id: str
    plugin_version: str
    id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class PolicyPackSource:
    """A policy pack as an enabled, verified plugin contributes it."""

    plugin_id: str
    plugin_version: str
    id: str
    summary: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Connector:
    """A connector as its manifest declares it, with the tools it brings."""

    plugin_id: str
    name: str
    tools: tuple[str, ...]


class Operator(Protocol):
    """The person at a terminal, where there is one."""

    def confirm(self, subject: str, facts: Sequence[str]) -> None:
        """Show what is about to be decided and return once the person agreed; raises the kernel's refusal otherwise."""


class OperationContext(Protocol):
    """Who asked for an operation, and how to tell them how it goes."""

    @property
    def actor(self) -> str:
        """Who asks, e.g. `person:ada`."""

    @property
    def operator(self) -> Operator:
        """The person who can decide."""

    def progress(self, text: str) -> None:
        """Say what is happening, in one line; on long work only."""


@dataclass(frozen=True, slots=True)
class Operation:
    """The unit of every surface. `input` and `output` are msgspec Structs.

    The handler is synchronous and gets an OperationContext and a value of `input`.
    """

    id: str
    summary: str
    effect: Literal["read", "write"]
    input: type[Any]
    output: type[Any]
    handler: Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What an in-process tool may know of the call that it serves."""

    call_id: str
    run_id: str | None
    caller: str
    workspace: Path


@dataclass(frozen=True, slots=True)
class InProcessTool:
    """A tool of a kernel plugin; reached through the monitor like any other. Raise `Refused` or ToolError to fail."""

    tool_id: str
    handler: Callable[[JsonObject, ToolContext], JsonObject]


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of a plugin's own schema history: `revision` counts from 1, `upgrade` gets Alembic's Operations.

    Expand-only: a step adds tables, columns and indexes, never removes or renames. `min_reader` is the oldest
    revision whose code can still read the tables afterwards.
    """

    revision: int
    upgrade: Callable[[Any], None]
    min_reader: int = 1


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """What a doctor's check found: `level` ok, notice, warning or problem; `repair` is the exact command."""

    check: str
    level: Literal["ok", "notice", "warning", "problem"]
    what: str
    why: str = ""
    repair: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A check of `cloned doctor`."""

    id: str
    run: Callable[[], Sequence[CheckFinding]]


class VaultProvider(Protocol):
    """Keeps secrets. Names are without the `vault:` prefix; values are bytes and leave only through these methods."""

    @property
    def name(self) -> str:
        """The name that `vault.provider` in config.yaml chooses it by."""

    def status(self) -> CheckFinding:
        """Whether it can be used, and how to mend it if not."""

    def names(self) -> Sequence[tuple[str, str, str]]:
        """What is kept: (name, secret class, time of the last change)."""

    def read(self, name: str) -> bytes:
        """The value. Raises Refused SECRET_UNKNOWN, VAULT_UNREACHABLE or VAULT_DAMAGED."""

    def write(self, name: str, value: bytes, secret_class: str) -> None:
        """Keep a value, durably before it returns."""

    def remove(self, name: str) -> None:
        """Forget a value. Raises Refused SECRET_UNKNOWN."""


class Transaction(Protocol):
    """A short write transaction; no call and no network inside."""

    @property
    def connection(self) -> Any:
        """A SQLAlchemy Core connection."""

    def publish(self, type_: str, subject: str, data: Mapping[str, Any]) -> None:
        """Add an event to the ordered log, in this same transaction."""


class HostDatabase(Protocol):
    """The workspace's database; a plugin's tables are named `<package>__<name>`."""

    def begin(self) -> AbstractContextManager[Transaction]:
        """A write transaction: durable when the block ends, undone when it raises."""

    def read(self) -> AbstractContextManager[Any]:
        """A read snapshot: a SQLAlchemy Core connection."""


class Tools(Protocol):
    """The only way to any tool."""

    def call(self, request: CallRequest) -> CallOutcome:
        """One governed call; every path ends in an outcome. Raises only when nothing could be judged at all."""

    def describe(self, tool_id: str) -> ToolInfo:
        """What is known of a tool. Raises TOOL_UNKNOWN."""


class Host(Protocol):
    """What a kernel plugin is lent, for as long as the workspace is open."""

    @property
    def plugin_id(self) -> str:
        """The plugin that this was lent to."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Its settings, as accepted."""

    @property
    def database(self) -> HostDatabase:
        """The workspace's database."""

    @property
    def tools(self) -> Tools:
        """Governed calls."""

    @property
    def state_folder(self) -> Path:
        """A folder of the plugin's own, 0700, outside the workspace; made when first asked for."""

    def now(self) -> datetime:
        """The time in UTC."""

    def new_id(self) -> str:
        """A new UUIDv7."""

    def log(self, level: Literal["debug", "info", "warning", "error"], message: str) -> None:
        """One redacted line in the log."""

    def skill_packs(self) -> Sequence[SkillPackSource]:
        """Every skill pack of the enabled plugins, sorted by id."""

    def lease(self, name: str) -> AbstractContextManager[bool]:
        """Try to be the only process that works on `name`; False when a living one does. Ends with the process."""
