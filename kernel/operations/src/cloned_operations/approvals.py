"""Operations on approvals: what waits for a person, and the person's decision."""

from collections.abc import Mapping
from typing import Any

import msgspec

from cloned.monitor import approvals
from cloned.monitor.approvals import Approval
from cloned_operations.context import Context
from cloned_schemas.errors import UserMistake
from cloned_sdk.host import Operation


class ListInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`all` shows decided and expired requests too."""

    all: bool = False


class Listed(msgspec.Struct, frozen=True):
    """Requests, oldest first."""

    approvals: list[dict[str, Any]]


class OneInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`id` is a request's id or any unambiguous beginning or end of it."""

    id: str


class DecideInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A decision. With `resume` the run that waits for it goes on at once."""

    id: str
    reason: str = ""
    resume: bool = False


class One(msgspec.Struct, frozen=True):
    """One request with its decisions."""

    approval: dict[str, Any]


class Decided(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a request, and of the run where one was resumed."""

    id: str
    state: str
    tool: str
    run: dict[str, Any] | None = None


def _list(context: Context, wanted: ListInput) -> Listed:
    workspace = context.workspace
    with workspace.database.read() as connection:
        found = approvals.listed(connection, workspace.clock.now(), pending_only=not wanted.all)
    return Listed([_told(approval) for approval in found])


def _show(context: Context, wanted: OneInput) -> One:
    return One(_told(_find(context, wanted.id)))


def _approve(context: Context, wanted: DecideInput) -> Decided:
    approval = _decide(context, wanted, "approve")
    run = _resume(context, approval) if wanted.resume else None
    return Decided(approval.request_id, approval.state, approval.body["tool_id"], run)


def _deny(context: Context, wanted: DecideInput) -> Decided:
    approval = _decide(context, wanted, "deny")
    return Decided(approval.request_id, approval.state, approval.body["tool_id"])


def _decide(context: Context, wanted: DecideInput, verdict: str) -> Approval:
    workspace = context.workspace
    found = _find(context, wanted.id)
    if found.state != "pending":
        raise UserMistake("APPROVAL_DECIDED", f"request {found.request_id} is {found.state} already")
    context.operator.confirm(f"{verdict} request {found.request_id}", _facts(found))
    return workspace.decide(found.request_id, context.actor, verdict, wanted.reason)


def _resume(context: Context, approval: Approval) -> dict[str, Any] | None:
    if approval.run_id is None:
        raise UserMistake("RUN_UNKNOWN", f"no run waits for request {approval.request_id}; its caller can ask again")
    from cloned_operations.table import run  # noqa: PLC0415 - the table names this module

    resumed: dict[str, Any] = msgspec.to_builtins(run("cloned.skills.runs.resume", {"id": approval.run_id}, context))
    return resumed


def _find(context: Context, given: str) -> Approval:
    workspace = context.workspace
    with workspace.database.read() as connection:
        every = approvals.listed(connection, workspace.clock.now(), pending_only=False)
    fitting = [
        found for found in every if given and (found.request_id.startswith(given) or found.request_id.endswith(given))
    ]
    if len(fitting) != 1:
        raise UserMistake("APPROVAL_UNKNOWN", f"{len(fitting)} approval requests fit {given!r}")
    return fitting[0]


def _facts(approval: Approval) -> list[str]:
    body = approval.body
    payload = msgspec.json.format(msgspec.json.encode(body["payload"]), indent=2).decode()
    return [
        f"tool     {body['tool_id']} {body['tool_version']}: {body['summary']}",
        f"asked by {approval.actor}" + (f" in run {approval.run_id}" if approval.run_id else ""),
        f"effect   {body['effect']}, risk {body['risk_level']}, cost {_costs(body['costs'])}",
        f"undo     {body['rollback']}",
        *(f"because  the {found['layer']} asks for it: {_match(found['rule']['match'])}" for found in body["rules"]),
        "payload, exactly as it will run (secrets hidden):",
        *(f"  {line}" for line in payload.splitlines()),
    ]


def _costs(costs: Mapping[str, int]) -> str:
    return ", ".join(f"{amount} {category}" for category, amount in costs.items()) or "nothing"


def _match(match: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in match.items())


def _told(approval: Approval) -> dict[str, Any]:
    body = approval.body
    return {
        "id": approval.request_id,
        "state": approval.state,
        "tool": body["tool_id"],
        "asked_by": approval.actor,
        "requested_at": approval.requested_at,
        "expires_at": approval.expires_at,
        "run_id": approval.run_id,
        "effect": body["effect"],
        "risk_level": body["risk_level"],
        "costs": body["costs"],
        "payload": body["payload"],
        "rules": body["rules"],
        "rollback": body["rollback"],
        "decisions": [dict(decision) for decision in approval.decisions],
    }


LIST = Operation("approvals.list", "What waits for a decision", "read", ListInput, Listed, _list)
SHOW = Operation("approvals.show", "One request, with the payload that would run", "read", OneInput, One, _show)
APPROVE = Operation("approvals.approve", "Let exactly this call happen, once", "write", DecideInput, Decided, _approve)
DENY = Operation("approvals.deny", "Refuse this call", "write", DecideInput, Decided, _deny)
