"""Approvals: an append-only, hash-chained record of requests, decisions and uses.

A decision covers exactly its scope: one caller, one tool and version, one payload, one set of matched rules; a change
to any of them asks again. Functions work inside a transaction that the caller owns. A decision carries a seal made with
a key of the user's own, for whoever can write the database is not thereby the person who decides.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from cloned.monitor.records import Judged, encode_sorted
from cloned_schemas.errors import TrustRefused, UserMistake
from cloned_sdk.host import JsonObject
from cloned_storage.clock import Clock, timestamp, uuid7
from cloned_storage.tables import approvals as rows

ZERO = "0" * 64
DOMAIN = b"cloned.approvals.v1\0"


@dataclass(frozen=True, slots=True)
class Approval:
    """A request with what became of it. `state`: pending, approved, used, denied, expired."""

    request_id: str
    scope: str
    state: str
    requested_at: str
    expires_at: str
    actor: str
    body: JsonObject
    decisions: tuple[JsonObject, ...] = field(default=())
    uses_left: int = 0

    @property
    def run_id(self) -> str | None:
        """The run that waits for it, if one does."""
        run_id = self.body.get("run_id")
        return str(run_id) if run_id else None


def scope_of(judged: Judged) -> str:
    """The digest of what a decision about this call covers."""
    return hashlib.sha256(
        encode_sorted(
            {
                "caller": judged.request.caller,
                "tool": f"{judged.offered.tool.id} {judged.offered.tool.version} {judged.offered.schema_id}",
                "code": judged.offered.plugin.wheel_sha256 if judged.offered.plugin else "kernel",
                "payload": judged.payload_hash,
                "rules": [[rule.layer, rule.rule] for rule in judged.approval_rules],
            }
        )
    ).hexdigest()


def latest(connection: sa.Connection, scope: str, now: datetime) -> Approval | None:
    """The newest request of a scope, with its state."""
    newest = sa.select(rows.c.request_id).where(rows.c.scope == scope, rows.c.kind == "request")
    found = connection.execute(newest.order_by(rows.c.seq.desc()).limit(1)).scalar()
    return None if found is None else get(connection, found, now)


def get(connection: sa.Connection, request_id: str, now: datetime) -> Approval:
    """A request by id. Raises UserMistake APPROVAL_UNKNOWN."""
    history = connection.execute(sa.select(rows).where(rows.c.request_id == request_id).order_by(rows.c.seq)).all()
    if not history:
        raise UserMistake("APPROVAL_UNKNOWN", f"there is no approval request {request_id}")
    return _told(history, now)


def listed(connection: sa.Connection, now: datetime, *, pending_only: bool) -> list[Approval]:
    """Every request, oldest first."""
    history: dict[str, list[Any]] = {}
    for row in connection.execute(sa.select(rows).order_by(rows.c.seq)):
        history.setdefault(row.request_id, []).append(row)
    every = [_told(group, now) for group in history.values()]
    return [approval for approval in every if approval.state == "pending" or not pending_only]


def _told(history: Sequence[Any], now: datetime) -> Approval:
    request = history[0]
    body = json.loads(request.body)
    decisions = tuple(
        {"actor": row.actor, "at": row.at} | json.loads(row.body) for row in history if row.kind == "decision"
    )
    granted = sum(int(decision["uses"]) for decision in decisions if decision["verdict"] == "approve")
    spent = sum(1 for row in history if row.kind == "use") - sum(1 for row in history if row.kind == "release")
    denied = any(decision["verdict"] == "deny" for decision in decisions)
    expired = timestamp(now) >= body["expires_at"]
    # A use outlives the expiry: what was decided in time and carried out stays told as it was.
    state = (
        "denied" if denied and not expired
        else "used" if granted and spent >= granted
        else "expired" if expired
        else "approved" if granted
        else "pending"
    )  # fmt: skip
    left = granted - spent if state == "approved" else 0
    return Approval(
        request.request_id, request.scope, state, request.at, body["expires_at"], request.actor, body, decisions, left
    )


def open_request(
    connection: sa.Connection, clock: Clock, judged: Judged, shown: JsonObject, expire_after_hours: int
) -> Approval:
    """Append a request. `shown` is the redacted payload that a person sees before deciding."""
    now = clock.now()
    tool = judged.offered.tool
    body = {
        "tool_id": tool.id, "tool_version": tool.version, "summary": tool.summary, "risk_level": tool.risk_level,
        "effect": tool.effect, "payload": shown, "payload_hash": judged.payload_hash, "costs": dict(judged.costs),
        "rules": [{"layer": rule.layer, "rule": rule.rule} for rule in judged.approval_rules],
        "rollback": f"compensated by {tool.compensated_by}" if tool.compensated_by else "none declared by the tool",
        "run_id": judged.request.run_id, "correlation_id": judged.request.correlation_id,
        "expires_at": timestamp(now + timedelta(hours=expire_after_hours)),
    }  # fmt: skip
    request_id = uuid7(clock)
    append(connection, clock, "request", request_id, scope_of(judged), judged.request.caller, body)
    return get(connection, request_id, now)


def decide(
    connection: sa.Connection, clock: Clock, request_id: str, actor: str, verdict: str, reason: str, key: bytes
) -> Approval:
    """Append a decision (`approve` or `deny`) on a pending request, sealed with `key`.

    Raises UserMistake APPROVAL_DECIDED for a request that is not pending.
    """
    approval = get(connection, request_id, clock.now())
    if approval.state != "pending":
        raise UserMistake("APPROVAL_DECIDED", f"request {request_id} is {approval.state} already")
    body = {"verdict": verdict, "reason": reason, "uses": 1 if verdict == "approve" else 0}
    sealed = body | {"seal": _seal(approval, {"actor": actor, **body}, key)}
    append(connection, clock, "decision", request_id, approval.scope, actor, sealed)
    return get(connection, request_id, clock.now())


def refuse_forged(approval: Approval, key: bytes) -> None:
    """Raise TrustRefused APPROVALS_CHANGED for a decision that no person made here: its seal is not by this key."""
    for decision in approval.decisions:
        if not hmac.compare_digest(str(decision.get("seal")).encode(), _seal(approval, decision, key).encode()):
            fact = f"the decision on request {approval.request_id} was not made with 'cloned approvals'"
            raise TrustRefused("APPROVALS_CHANGED", fact)


def _seal(approval: Approval, decision: Mapping[str, Any], key: bytes) -> str:
    said = [decision["actor"], decision["verdict"], decision["uses"]]
    about = [approval.request_id, approval.scope, approval.expires_at]
    return hmac.new(key, DOMAIN + encode_sorted([*about, *said]), hashlib.sha256).hexdigest()


def use(connection: sa.Connection, clock: Clock, approval: Approval, call_id: str, actor: str) -> None:
    """Spend one of the uses that a decision allows, for one call."""
    append(connection, clock, "use", approval.request_id, approval.scope, actor, {}, call_id=call_id)


def release(connection: sa.Connection, clock: Clock, request_id: str, call_id: str) -> None:
    """Give a use back: the call that took it never happened."""
    scope = connection.execute(sa.select(rows.c.scope).where(rows.c.request_id == request_id)).scalars().first()
    append(connection, clock, "release", request_id, str(scope), "kernel", {}, call_id=call_id)


def append(
    connection: sa.Connection, clock: Clock, kind: str, request_id: str, scope: str, actor: str,
    body: Mapping[str, Any], *, call_id: str | None = None,
) -> None:  # fmt: skip
    """Chain one row to the last."""
    last = sa.select(rows.c.seq, rows.c.this_hash).order_by(rows.c.seq.desc()).limit(1)
    found = connection.execute(last).first()
    row = {
        "seq": found.seq + 1 if found else 1, "id": uuid7(clock), "kind": kind, "request_id": request_id,
        "scope": scope, "call_id": call_id, "at": timestamp(clock.now()), "actor": actor,
        "body": encode_sorted(dict(body)).decode(), "prev_hash": found.this_hash if found else ZERO,
    }  # fmt: skip
    connection.execute(rows.insert().values(**row, this_hash=_digest(row)))


def legible(value: Any) -> Any:
    """A JSON value in which every character that a reader would not see stands as its number: it would run, too."""
    match value:
        case str():
            return "".join(c if c.isprintable() or c in "\n\t" else f"<U+{ord(c):04X}>" for c in value)
        case list():
            return [legible(item) for item in value]
        case dict():
            return {legible(key): legible(item) for key, item in value.items()}
    return value


def _digest(row: Mapping[str, Any]) -> str:
    return hashlib.sha256(DOMAIN + encode_sorted(row)).hexdigest()


def verify(connection: sa.Connection) -> int:
    """Count the rows of an unbroken chain. Raises TrustRefused APPROVALS_CHANGED at the first that does not fit."""
    previous, count = ZERO, 0
    for found in connection.execute(sa.select(rows).order_by(rows.c.seq)).mappings():
        row = {name: value for name, value in found.items() if name != "this_hash"}
        if row["prev_hash"] != previous or row["seq"] != count + 1 or _digest(row) != found["this_hash"]:
            raise TrustRefused("APPROVALS_CHANGED", f"row {row['seq']} of the approvals does not fit the one before it")
        previous, count = found["this_hash"], count + 1
    return count
