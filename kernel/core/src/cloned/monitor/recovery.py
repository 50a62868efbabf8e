"""What a killed process left behind, put right from the audit.

Authorized without intent: nothing happened, approval and reservation go back. Intent without outcome: ambiguous, and it
stays counted. Settled without outcome in the audit: the outcome is written. A process is dead when its lock is free.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from cloned.monitor import approvals, budgets
from cloned.monitor.ledger import outcome_columns, recorded, reservations_of
from cloned.monitor.records import Result, output_digest
from cloned_storage.audit import AuditLog
from cloned_storage.clock import Clock
from cloned_storage.database import Database
from cloned_storage.tables import calls

AMBIGUOUS = Result(
    "ambiguous",
    None,
    "CALL_AMBIGUOUS",
    "the process ended in the middle; the effect may have happened",
    (),
    counted=True,
)


@dataclass(frozen=True, slots=True)
class Recovered:
    """How many calls of dead processes were put right, and how."""

    released: int = 0
    ambiguous: int = 0
    recorded: int = 0


def process_lock(folder: Path, process_id: str) -> Path:
    """The file whose flock a living process holds."""
    return folder / f"process-{process_id}.lock"


def recover(database: Database, audit: AuditLog, clock: Clock, locks: Path, own: str) -> Recovered:
    """Put right the calls of every process that is dead. Harmless to run at any time, in any number of processes."""
    with database.read() as connection:
        unfinished = sa.select(calls.c.process_id).where(calls.c.audited.is_(False)).distinct()
        others = [row.process_id for row in connection.execute(unfinished) if row.process_id != own]
    counts = {"released": 0, "ambiguous": 0, "recorded": 0}
    for process_id in sorted(others):
        with _buried(process_lock(locks, process_id)) as dead:
            if dead:
                for outcome in _finish(database, audit, clock, process_id):
                    counts[outcome] += 1
    return Recovered(**counts)


@contextmanager
def _buried(lock: Path) -> Iterator[bool]:
    """Hold a dead process's lock while its calls are put right; False where the process lives."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
        lock.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _finish(database: Database, audit: AuditLog, clock: Clock, process_id: str) -> Iterator[str]:
    with database.read() as connection:
        mine = (calls.c.process_id == process_id, calls.c.audited.is_(False))
        left = connection.execute(sa.select(calls).where(*mine).order_by(calls.c.call_id)).all()
    if not left:
        return
    intents, outcomes = _told(audit, min(row.audit_offset for row in left))
    for row in left:
        if row.state == "authorized" and row.call_id not in intents:
            _release(database, clock, row)
            yield "released"
        elif row.state == "authorized":
            _settle_ambiguous(database, clock, row)
            _record(audit, row, AMBIGUOUS.outcome, AMBIGUOUS.error_id, None)
            yield "ambiguous"
        elif row.state == "settled" and row.call_id not in outcomes:
            _record(audit, row, row.outcome, row.error_id, output_digest(recorded(row).output))
            yield "recorded"
        _mark(database, row.call_id)


def _told(audit: AuditLog, offset: int) -> tuple[set[str], set[str]]:
    intents: set[str] = set()
    outcomes: set[str] = set()
    for _, entry in audit.entries(offset):
        if entry.get("kind") == "intent":
            intents.add(str(entry.get("call_id")))
        elif entry.get("kind") == "outcome":
            outcomes.add(str(entry.get("call_id")))
    return intents, outcomes


def _release(database: Database, clock: Clock, row: Any) -> None:
    with database.begin() as transaction:
        budgets.settle(transaction.connection, reservations_of(row), counted=False)
        if row.approval_request:
            approvals.release(transaction.connection, clock, row.approval_request, row.call_id)
        released = calls.update().where(calls.c.call_id == row.call_id).values(state="released", audited=True)
        transaction.connection.execute(released)


def _settle_ambiguous(database: Database, clock: Clock, row: Any) -> None:
    with database.begin() as transaction:
        budgets.settle(transaction.connection, reservations_of(row), counted=True)
        settled = calls.update().where(calls.c.call_id == row.call_id).values(**outcome_columns(AMBIGUOUS, clock))
        transaction.connection.execute(settled)


def _record(audit: AuditLog, row: Any, outcome: str, error_id: str | None, output_hash: str | None) -> None:
    audit.append(
        "outcome", outcome=outcome, error_id=error_id, output_hash=output_hash, call_id=row.call_id, actor=row.caller,
        correlation_id=row.correlation_id, run_id=row.run_id, tool_id=row.tool_id, tool_version=row.tool_version,
        schema_id=row.schema_id, input_hash=row.payload_hash, details={"recovered": True},
    )  # fmt: skip


def _mark(database: Database, call_id: str) -> None:
    with database.begin() as transaction:
        transaction.connection.execute(calls.update().where(calls.c.call_id == call_id).values(audited=True))
