"""The reference monitor: one governed call, always by the same eleven steps. Nothing else in Cloned reaches a tool.

Steps 1 to 5 judge and touch nothing. Steps 6 and 7 and the call's row are one database transaction. Step 8 makes the
intent durable in the audit, and that alone licenses step 9. Every path ends in exactly one terminal record.
"""

import sys
from dataclasses import dataclass, replace

from cloned.monitor import approvals, budgets, guard, policy, validation
from cloned.monitor.approvals import Approval
from cloned.monitor.authority import AuthoritySource, egress_rules
from cloned.monitor.dispatch import Dispatcher
from cloned.monitor.ledger import Ledger, error_result
from cloned.monitor.records import (
    Authority,
    Authorized,
    Judged,
    Offered,
    Result,
    output_digest,
    payload_digest,
)
from cloned_schemas.errors import ClonedError, PluginFault, UserMistake
from cloned_schemas.tool import RedactionRule
from cloned_sdk.host import CallOutcome, CallRequest, JsonObject, Outcome, ToolInfo
from cloned_storage.audit import AuditLog
from cloned_storage.clock import Clock, uuid7
from cloned_storage.database import Database
from cloned_storage.redaction import Redactor

MAX_CORRELATION = 200
MAX_TOOL_ID = 160
MAX_FLAGS, MAX_PLACE = 100, 300


def step(name: str) -> None:
    """Announce that a step is done. Python's audit hooks carry it, so a crash test can end the process right here."""
    sys.audit("cloned.step", name)


@dataclass(frozen=True, slots=True)
class Monitor:
    """One per open workspace; safe to call from any thread."""

    clock: Clock
    authority: AuthoritySource
    database: Database
    ledger: Ledger
    audit: AuditLog
    redactor: Redactor
    dispatcher: Dispatcher

    def call(self, request: CallRequest) -> CallOutcome:
        """Carry out one governed call and answer with its terminal record.

        Raises AUDIT_UNAVAILABLE when even a refusal cannot be recorded.
        """
        call_id = uuid7(self.clock)
        try:
            judged = self._judge(call_id, request)  # 1 to 5: resolve, validate, policy, egress, cost
            if request.dry_run:
                return self._show(judged)
            authorized = self._authorize(judged)  # 6 and 7: approval and budget, with the call's row
            if isinstance(authorized, CallOutcome):
                return authorized  # a repeat of an earlier call, or a person must decide first
        except ClonedError as refusal:
            return self._refuse(call_id, request, refusal)
        self._license(authorized)  # 8: the intent, durable before anything happens
        answer = self.dispatcher.dispatch(authorized)  # 9
        step("call.dispatched")
        result = self._receive(authorized, answer)  # 10: validate, guard, redact
        return self._settle(authorized, result)  # 11: budget, outcome, event

    def describe(self, tool_id: str) -> ToolInfo:
        """What is known of an offered tool. Raises TOOL_UNKNOWN, or why its plugin is refused."""
        offered = _resolve(self.authority.current(), tool_id)
        tool, owner = offered.tool, offered.plugin.id if offered.plugin else "kernel"
        category = tool.cost.category if tool.cost else None
        return ToolInfo(
            tool.id, tool.version, owner, tool.summary, tool.effect, tool.risk_level, tool.idempotent, category,
            tool.input_schema, tool.output_schema,
        )  # fmt: skip

    def _judge(self, call_id: str, request: CallRequest) -> Judged:
        """Steps 1 to 5, on the reading at hand. Step 6 looks whether it still holds; what ends before does so here."""
        _admit(request)
        kept = None if request.dry_run else self.authority.kept()
        if kept is not None:
            try:
                return self._judge_by(kept, call_id, request)
            except ClonedError:
                if self.authority.holds(kept):
                    raise
        return self._judge_by(self.authority.current(), call_id, request)

    def _judge_by(self, authority: Authority, call_id: str, request: CallRequest) -> Judged:
        offered = _resolve(authority, request.tool_id)
        tool, plugin = offered.tool, offered.plugin
        payload_hash = payload_digest(tool.id, request.inputs)
        validation.check_inputs(offered.inputs, request.inputs, tool.id)
        granted = authority.grants[plugin.id].capabilities if plugin else tool.permissions_required
        in_force, rule = policy.permit(authority.policy, tool, plugin.publisher_id if plugin else None, granted)
        article = policy.within_constitution(request.constitution, tool, request.sources)
        policy.sources_allowed(in_force, request.sources)
        hosts = egress_rules(authority, in_force, offered)
        needed = policy.approvals_needed(in_force, tool, request.constitution)
        decision: JsonObject = {
            "pack": in_force.pack.pack_id, "policy": in_force.digest, "rule": rule.rule, "constitution": article,
            "egress": hosts, "approval_rules": [{"layer": found.layer, "rule": found.rule} for found in needed],
        }  # fmt: skip
        step("call.judged")
        costs = budgets.estimate(tool.cost, request.inputs)
        return Judged(call_id, request, offered, payload_hash, costs, needed, decision, authority)

    def _authorize(self, judged: Judged) -> Authorized | CallOutcome:
        shown = self._shown(judged) if judged.approval_rules else {}
        with self.database.begin() as transaction:
            generation = self.database.generation(transaction.connection)
            # People's decisions outside this database (a revocation, a change cut off) move the fingerprint alone.
            moved = generation != judged.authority.generation or not self.authority.holds(judged.authority)
            answer = None if moved else self.ledger.authorize(transaction, judged, shown, self.audit.size())
        if answer is None:  # what is in force changed between judging and now
            self.authority.moved()
            return self._authorize(self._judge(judged.call_id, judged.request))
        if isinstance(answer, Approval):
            return self._wait(judged, answer)
        step("call.authorized")
        return answer

    def _license(self, authorized: Authorized) -> None:
        self.audit.append("intent", **self._told(authorized.judged), approval_id=authorized.approval_request)
        step("call.intent")

    def _receive(self, authorized: Authorized, answer: Result) -> Result:
        offered = authorized.judged.offered
        if answer.output is not None:
            try:
                validation.check_output(offered.output, answer.output, offered.tool.id)
            except PluginFault as error:
                answer = error_result(error, ambiguous=offered.tool.effect != "read", counted=True)
        said = answer.message or "" if answer.output is None else answer.output  # an error's words are the tool's too
        guarded = guard.inspect(said) if offered.tool.untrusted_output else guard.Guarded(said, ())
        if answer.output is None:
            return replace(answer, message=self.redactor.text(guarded.value), flags=guarded.flags)
        return replace(
            answer, output=self.redactor.value(guarded.value, _rules(offered, "outputs")), flags=guarded.flags
        )

    def _settle(self, authorized: Authorized, result: Result) -> CallOutcome:
        judged = authorized.judged
        self.ledger.untold.add(judged.call_id)
        with self.database.begin() as transaction:
            self.ledger.settle(transaction, authorized, result)
        step("call.settled")
        self.audit.append("outcome", **self._told(judged), **outcome_fields(result, judged.offered.plugin is None))
        self.ledger.untold.discard(judged.call_id)
        step("call.outcome")
        return CallOutcome(
            judged.call_id, result.outcome, result.output, result.error_id, result.message, flags=result.flags,
            costs=judged.costs if result.counted else {}, judgement=judged.decision,
        )  # fmt: skip

    def _wait(self, judged: Judged, approval: Approval) -> CallOutcome:
        told = self._told(judged)
        self.audit.append("outcome", **told, outcome="approval_required", approval_id=approval.request_id)
        message = f"waits for a decision on request {approval.request_id}"
        return CallOutcome(
            judged.call_id, "approval_required", None, "APPROVAL_REQUIRED", message, approval.request_id,
            judgement=judged.decision,
        )  # fmt: skip

    def _show(self, judged: Judged) -> CallOutcome:
        shown = judged.decision | {"inputs": self._shown(judged), "costs": dict(judged.costs)}
        self.audit.append("outcome", **self._told(judged), outcome="dry_run")
        return CallOutcome(judged.call_id, "dry_run", costs=judged.costs, judgement=shown)

    def _refuse(self, call_id: str, request: CallRequest, refusal: ClonedError) -> CallOutcome:
        outcome: Outcome = "failure" if refusal.spec.family in {"unavailable", "plugin_fault"} else "blocked"
        reason = self.redactor.text(refusal.fact)
        self.audit.append(
            "outcome", outcome=outcome, error_id=refusal.id, call_id=call_id, actor=request.caller[:300],
            correlation_id=str(request.correlation_id)[:MAX_CORRELATION],
            run_id=request.run_id and request.run_id[:MAX_CORRELATION], dry_run=request.dry_run,
            details={"tool": str(request.tool_id)[:MAX_TOOL_ID], "reason": reason},
        )  # fmt: skip
        return CallOutcome(call_id, outcome, None, refusal.id, reason)

    def _shown(self, judged: Judged) -> JsonObject:
        inputs = approvals.legible(judged.request.inputs)
        shown: JsonObject = self.redactor.value(inputs, _rules(judged.offered, "inputs"))
        return shown

    def _told(self, judged: Judged) -> JsonObject:
        request, offered = judged.request, judged.offered
        return {
            "call_id": judged.call_id, "actor": request.caller, "correlation_id": request.correlation_id,
            "run_id": request.run_id, "tool_id": offered.tool.id, "tool_version": offered.tool.version,
            "schema_id": offered.schema_id, "input_hash": judged.payload_hash, "policy_decision": judged.decision,
            "costs": dict(judged.costs), "dry_run": request.dry_run, "sources": list(request.sources),
        }  # fmt: skip


def outcome_fields(result: Result, by_kernel: bool) -> JsonObject:
    """What the audit says of how a call ended. Only the kernel's own tools can speak of an artifact's manifest."""
    manifest = (result.output or {}).get("manifest_sha256") if by_kernel else None
    # Text from outside can be full of them, and the entry must still fit in a line.
    flags = [[name, place[:MAX_PLACE]] for name, place in result.flags[:MAX_FLAGS]]
    return {
        "outcome": result.outcome, "error_id": result.error_id, "output_hash": output_digest(result.output),
        "artifact_manifest_hash": manifest, "details": {"flags": flags, "flags_found": len(result.flags)},
    }  # fmt: skip


def _admit(request: CallRequest) -> None:
    for name, value, most in (
        ("tool id", request.tool_id, MAX_TOOL_ID),
        ("correlation id", request.correlation_id, MAX_CORRELATION),
        ("caller", request.caller, 300),
        ("run id", "none" if request.run_id is None else request.run_id, MAX_CORRELATION),
        *(("source", source, MAX_CORRELATION) for source in request.sources),
    ):
        if not (0 < len(value) <= most and value.isprintable()):
            raise UserMistake("INPUT_INVALID", f"the {name} must be 1 to {most} printable characters")


def _resolve(authority: Authority, tool_id: str) -> Offered:
    if (offered := authority.offers.get(tool_id)) is not None:
        return offered
    if (refusal := authority.refused.get(tool_id)) is not None:
        raise refusal
    name = tool_id.partition("@")[0]
    if (other := next((known for known in authority.offers if known.partition("@")[0] == name), None)) is not None:
        raise UserMistake("TOOL_VERSION", f"{tool_id} is not offered; {other} is")
    raise UserMistake("TOOL_UNKNOWN", f"no enabled plugin offers {tool_id}")


def _rules(offered: Offered, part: str) -> tuple[RedactionRule, ...]:
    return tuple(rule for rule in offered.tool.redaction_rules if rule.pointer.startswith(f"{part}/"))
