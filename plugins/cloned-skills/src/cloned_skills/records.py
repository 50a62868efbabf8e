"""Runs and steps as rows. Every write is one short transaction that also tells of itself as an event.

A step's output is kept in its row, as the monitor gave it (guarded, redacted, checked), until the run has ended, then
only its SHA-256. So a completed call is never asked for again: neither the age of the monitor's own record nor a
change of policy in between can make a second effect of it, and the steps after it see the same bytes in every process.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from cloned_sdk.host import Host, JsonObject, Refused
from cloned_skills.catalog import Definition
from cloned_skills.tables import WHOLE, runs, steps

ENDED = frozenset({"done", "failed", "ambiguous", "cancelled"})
"""States that nothing leads out of. `ready`, `running`, `waiting` and `blocked` may go on."""

FINAL = frozenset({"success", "failure", "ambiguous"})
"""States of a call that is never made again."""

_encode = msgspec.json.Encoder(order="deterministic").encode


SHORTEST_END = 8
"""Characters of a run's id that name it where no other run's id ends in them."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run as its row has it. `inputs` and `result` are JSON objects."""

    run_id: str
    pipeline_id: str
    pipeline_version: str
    plugin_id: str
    plugin_version: str
    definition: str
    inputs: JsonObject
    inputs_hash: str
    actor: str
    state: str
    step_id: str | None
    error_id: str | None
    reason: str | None
    approval_id: str | None
    result: JsonObject | None
    cancel_asked: bool
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class StepRow:
    """How one call of a step ended, or (`iteration` WHOLE) the step as a whole: `done` or `skipped`."""

    step_id: str
    iteration: int
    state: str
    tool_id: str
    attempts: int = 0
    call_id: str | None = None
    approval_id: str | None = None
    error_id: str | None = None
    message: str | None = None
    output: JsonObject | None = None
    output_hash: str | None = None
    costs: Mapping[str, int] = field(default_factory=dict)
    flags: tuple[tuple[str, str], ...] = ()

    def told(self) -> JsonObject:
        """Everything but the output, as a surface shows it."""
        return {
            "step": self.step_id, "state": self.state, "tool": self.tool_id, "attempts": self.attempts,
            "iteration": None if self.iteration == WHOLE else self.iteration, "call_id": self.call_id,
            "approval_id": self.approval_id, "error_id": self.error_id, "message": self.message,
            "output_hash": self.output_hash, "costs": dict(self.costs), "flags": list(self.flags),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a run stands: its state, and why, where it waits or has stopped."""

    state: str
    step_id: str | None = None
    error_id: str | None = None
    reason: str | None = None
    approval_id: str | None = None
    result: JsonObject | None = None


def announce(name: str) -> None:
    """Say by Python's audit hooks that the engine has come this far, so that a crash test can end the process here."""
    sys.audit("cloned.step", f"skills.{name}")


def digest(value: Any) -> str:
    """SHA-256 of a JSON value in sorted, compact form, in hexadecimal."""
    return hashlib.sha256(_encode(value)).hexdigest()


@dataclass(frozen=True, slots=True)
class Records:
    """Reads and writes the rows through the host's database."""

    host: Host

    def create(self, definition: Definition, inputs: JsonObject, actor: str) -> str:
        """Make a run's row, state `ready`, durable when this returns its id."""
        run_id = self.host.new_id()
        now = _stamp(self.host.now())
        pipeline = definition.pipeline
        row = {
            "run_id": run_id, "pipeline_id": pipeline.id, "pipeline_version": pipeline.version,
            "plugin_id": definition.plugin_id, "plugin_version": definition.plugin_version,
            "definition": definition.digest, "inputs": _encode(inputs).decode(), "inputs_hash": digest(inputs),
            "actor": actor, "state": "ready", "cancel_asked": False, "created_at": now, "updated_at": now,
        }  # fmt: skip
        with self.host.database.begin() as transaction:
            transaction.connection.execute(runs.insert().values(row))
            transaction.publish("run.created", run_id, {"pipeline_id": pipeline.id, "actor": actor})
        announce("run_created")
        return run_id

    def get(self, run_id: str) -> Run:
        """A run by its id, or by an end of the id that no other run's has. Raises Refused RUN_UNKNOWN."""
        ends_so = runs.c.run_id.endswith(run_id, autoescape=True)
        with self.host.database.read() as connection:
            found = connection.execute(sa.select(runs).where(ends_so).limit(2)).mappings().all()
        if len(found) != 1 or len(run_id) < SHORTEST_END:
            raise Refused("RUN_UNKNOWN", f"there is no run {run_id[:80]!r} in this workspace")
        return _run(found[0])

    def listed(self, state: str | None, limit: int) -> list[Run]:
        """The newest runs first."""
        wanted = sa.select(runs).order_by(runs.c.created_at.desc(), runs.c.run_id.desc()).limit(limit)
        if state is not None:
            wanted = wanted.where(runs.c.state == state)
        with self.host.database.read() as connection:
            return [_run(row) for row in connection.execute(wanted).mappings()]

    def steps(self, run_id: str) -> dict[tuple[str, int], StepRow]:
        """Every step row of a run by (step id, iteration)."""
        with self.host.database.read() as connection:
            found = connection.execute(sa.select(steps).where(steps.c.run_id == run_id).order_by(steps.c.at)).mappings()
            return {(row["step_id"], row["iteration"]): _step(row) for row in found}

    def cancel_asked(self, run_id: str) -> bool:
        """Whether somebody asked the process that executes the run to stop."""
        with self.host.database.read() as connection:
            return bool(connection.execute(sa.select(runs.c.cancel_asked).where(runs.c.run_id == run_id)).scalar())

    def ask_to_cancel(self, run_id: str) -> None:
        """Leave word for the process that executes the run."""
        with self.host.database.begin() as transaction:
            transaction.connection.execute(runs.update().where(runs.c.run_id == run_id).values(cancel_asked=True))

    def stand(self, run_id: str, stand: Stand) -> None:
        """Write where the run stands. Once it has ended the outputs of its steps are removed; their hashes stay."""
        values = {
            "state": stand.state, "step_id": stand.step_id, "error_id": stand.error_id, "reason": stand.reason,
            "approval_id": stand.approval_id, "updated_at": _stamp(self.host.now()),
            "result": None if stand.result is None else _encode(stand.result).decode(),
        }  # fmt: skip
        with self.host.database.begin() as transaction:
            transaction.connection.execute(runs.update().where(runs.c.run_id == run_id).values(values))
            if stand.state in ENDED:
                transaction.connection.execute(steps.update().where(steps.c.run_id == run_id).values(output=None))
            told = {"step_id": stand.step_id, "error_id": stand.error_id, "approval_id": stand.approval_id}
            transaction.publish(f"run.{stand.state}", run_id, told)
        announce(f"run_{stand.state}")

    def keep(self, run_id: str, row: StepRow) -> None:
        """Write how a call or a step ended, in the place of what was there. Durable when it returns."""
        where = sa.and_(steps.c.run_id == run_id, steps.c.step_id == row.step_id, steps.c.iteration == row.iteration)
        values = {
            "state": row.state, "tool_id": row.tool_id, "attempts": row.attempts, "call_id": row.call_id,
            "approval_id": row.approval_id, "error_id": row.error_id, "message": row.message,
            "output": None if row.output is None else _encode(row.output).decode(),
            "output_hash": None if row.output is None else digest(row.output),
            "costs": _encode(row.costs).decode(), "flags": _encode(row.flags).decode(),
            "at": _stamp(self.host.now()),
        }  # fmt: skip
        key = {"run_id": run_id, "step_id": row.step_id, "iteration": row.iteration}
        with self.host.database.begin() as transaction:
            if transaction.connection.execute(steps.update().where(where).values(values)).rowcount == 0:
                transaction.connection.execute(steps.insert().values(key | values))
            if row.iteration == WHOLE:
                transaction.publish("run.step", run_id, {"step_id": row.step_id, "state": row.state})
        announce("step_kept" if row.iteration == WHOLE else "call_kept")


def spent(rows: Mapping[tuple[str, int], StepRow]) -> Counter[str]:
    """Units that a run's ended calls took so far, by category. A call that will be asked for again counts then."""
    total: Counter[str] = Counter()
    for row in rows.values():
        total.update(row.costs if row.state in FINAL else {})
    return total


def _run(row: Mapping[str, Any]) -> Run:
    texts = {"inputs": _object(row["inputs"]) or {}, "result": _object(row["result"])}
    return Run(**(dict(row) | texts))


def _step(row: Mapping[str, Any]) -> StepRow:
    kept = {name: value for name, value in row.items() if name not in ("run_id", "at")}
    flags = tuple((str(kind), str(place)) for kind, place in msgspec.json.decode(row["flags"]))
    costs = msgspec.json.decode(row["costs"], type=dict[str, int])
    return StepRow(**(kept | {"output": _object(row["output"]), "costs": costs, "flags": flags}))


def _object(text: str | None) -> JsonObject | None:
    return None if text is None else msgspec.json.decode(text, type=dict[str, Any])


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
