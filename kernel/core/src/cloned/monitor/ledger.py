"""The calls' rows: what was authorized, what came of it, and what a repeat of a call is answered with.

The key of a repeat is (caller, tool id, correlation id). Functions work inside a transaction that the caller owns.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa

from cloned.monitor import approvals, budgets
from cloned.monitor.records import Authorized, Judged, Reservation, Result, encode_sorted
from cloned_schemas.errors import ClonedError, PolicyDenied, Unavailable, UserMistake
from cloned_sdk.host import CallOutcome, JsonObject, Outcome
from cloned_storage.clock import Clock, timestamp
from cloned_storage.database import WriteTransaction
from cloned_storage.statement import Statement
from cloned_storage.tables import calls

_KEY = ("caller", "tool_id", "correlation_id")
_SAME = sa.select(calls).where(*(calls.c[name] == sa.bindparam(name) for name in _KEY))
_EARLIER = Statement(_SAME.order_by(calls.c.attempt.desc()).limit(1))
_INSERT = Statement(calls.insert())
_SETTLE = Statement(calls.update().where(calls.c.call_id == sa.bindparam("its_id")))
_reservations = msgspec.json.Decoder(list[Reservation])


@dataclass(frozen=True, slots=True)
class Ledger:
    """Writes the rows of the calls that this process makes."""

    clock: Clock
    process_id: str
    key: bytes = field(repr=False)  # of the seals on people's decisions
    untold: set[str] = field(default_factory=set)  # calls whose outcome is not in the audit yet

    def authorize(
        self, transaction: WriteTransaction, judged: Judged, shown: JsonObject, audit_offset: int
    ) -> Authorized | CallOutcome | approvals.Approval:
        """Steps 6 and 7 with the call's row.

        Answers with the recorded outcome of an equal earlier call, or with the request that a person must decide first.
        Raises PolicyDenied (denied, budget), UserMistake IDEMPOTENCY_CONFLICT, Unavailable CALL_IN_FLIGHT; the
        transaction is then undone whole.
        """
        connection = transaction.connection
        earlier = _earlier(connection, judged)
        if earlier is not None and (recorded := self._repeat(judged, earlier)) is not None:
            return recorded
        approval = self._approval(transaction, judged, shown)
        if approval is not None and approval.state != "approved":
            return approval
        if approval is not None:
            approvals.use(connection, self.clock, approval, judged.call_id, judged.request.caller)
        rules = judged.authority.policy.budgets if judged.authority.policy else {}
        held = budgets.reserve(connection, rules, judged.costs, self.clock.now())
        request_id = approval.request_id if approval else None
        attempt = earlier.attempt + 1 if earlier is not None else 1
        _INSERT.change(connection, self._row(judged, held, request_id, attempt, audit_offset))
        return Authorized(judged, held, request_id)

    def settle(self, transaction: WriteTransaction, authorized: Authorized, result: Result) -> None:
        """Step 11's rows: the budget, the outcome, the event."""
        judged = authorized.judged
        budgets.settle(transaction.connection, authorized.reservations, counted=result.counted)
        columns = outcome_columns(result, self.clock)
        _SETTLE.change(transaction.connection, {"its_id": judged.call_id, **columns})
        told = {"tool_id": judged.offered.tool.id, "outcome": result.outcome, "run_id": judged.request.run_id}
        transaction.publish("call.completed", judged.call_id, told)

    def _repeat(self, judged: Judged, row: Any) -> CallOutcome | None:
        key = f"correlation id {judged.request.correlation_id!r} of {judged.offered.tool.id}"
        if row.payload_hash != judged.payload_hash:
            raise UserMistake("IDEMPOTENCY_CONFLICT", f"{key} was used before with other inputs")
        if row.state == "released":
            return None
        if row.state == "authorized":
            raise Unavailable("CALL_IN_FLIGHT", f"{key} is being carried out by call {row.call_id}")
        if row.outcome == "ambiguous" and row.repeatable:
            return None
        return recorded(row)

    def _approval(self, transaction: WriteTransaction, judged: Judged, shown: JsonObject) -> approvals.Approval | None:
        if not judged.approval_rules:
            return None
        approval = approvals.latest(transaction.connection, approvals.scope_of(judged), self.clock.now())
        if approval is not None and approval.state == "denied":
            reason = approval.decisions[-1].get("reason") or "no reason given"
            raise PolicyDenied("APPROVAL_DENIED", f"request {approval.request_id} was denied: {reason}")
        if approval is not None and approval.state in {"pending", "approved"}:
            approvals.refuse_forged(approval, self.key)
            return approval
        hours = judged.authority.policy.pack.approvals.expire_after_hours if judged.authority.policy else 1
        opened = approvals.open_request(transaction.connection, self.clock, judged, shown, hours)
        transaction.publish("approval.requested", opened.request_id, {"tool_id": judged.offered.tool.id})
        return opened

    def _row(
        self, judged: Judged, held: tuple[Reservation, ...], request_id: str | None, attempt: int, audit_offset: int
    ) -> Mapping[str, object]:
        request, offered = judged.request, judged.offered
        return {
            "call_id": judged.call_id, "caller": request.caller, "tool_id": offered.tool.id, "attempt": attempt,
            "tool_version": offered.tool.version, "correlation_id": request.correlation_id,
            "schema_id": offered.schema_id, "payload_hash": judged.payload_hash, "run_id": request.run_id,
            "process_id": self.process_id, "state": "authorized", "repeatable": offered.repeatable,
            "costs": encode_sorted(judged.costs).decode(), "reservations": encode_sorted(held).decode(),
            "approval_request": request_id, "judgement": encode_sorted(judged.decision).decode(),
            "audit_offset": audit_offset, "audited": False, "created_at": timestamp(self.clock.now()),
        }  # fmt: skip


def _earlier(connection: sa.Connection, judged: Judged) -> Any:
    request = judged.request
    key = (request.caller, judged.offered.tool.id, request.correlation_id)
    return _EARLIER.ask(connection, dict(zip(_KEY, key, strict=True))).first()


def outcome_columns(result: Result, clock: Clock) -> dict[str, object]:
    """The columns that a settled call gets."""
    return {
        "state": "settled", "outcome": result.outcome, "error_id": result.error_id, "message": result.message,
        "output": None if result.output is None else encode_sorted(result.output).decode(),
        "flags": encode_sorted(result.flags).decode(), "settled_at": timestamp(clock.now()),
    }  # fmt: skip


def reservations_of(row: Any) -> list[Reservation]:
    """The reservations that a call's row holds."""
    return _reservations.decode(row.reservations)


def recorded(row: Any) -> CallOutcome:
    """The outcome that a settled row tells of, as every repeat of the call is answered."""
    flags = tuple((str(found[0]), str(found[1])) for found in json.loads(row.flags or "[]"))
    return CallOutcome(
        row.call_id, row.outcome, json.loads(row.output) if row.output else None, row.error_id, row.message,
        flags=flags, costs=json.loads(row.costs), replayed=True, judgement=json.loads(row.judgement),
    )  # fmt: skip


def error_result(error: ClonedError, *, ambiguous: bool, counted: bool) -> Result:
    """How a call ended that raised; what trust refuses before it is sent is blocked, as in the steps before."""
    blocked = error.spec.family == "trust_refused" and not counted
    outcome: Outcome = "ambiguous" if ambiguous else "blocked" if blocked else "failure"
    return Result(outcome, None, error.id, error.fact, (), counted)


def finish_process(transaction: WriteTransaction, ledger: Ledger) -> None:
    """Leave to recovery only the settled calls whose outcome did not get into the audit."""
    mine = (calls.c.process_id == ledger.process_id, calls.c.state == "settled", calls.c.audited.is_(False))
    told = calls.c.call_id.not_in(sorted(ledger.untold))
    transaction.connection.execute(calls.update().where(*mine, told).values(audited=True))
