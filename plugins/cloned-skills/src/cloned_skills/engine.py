"""Carry out a run, step by step, so that it can be ended at any moment and goes on without repeating anything.

Owns the order of things: the run's row first; then for each step every call through the monitor, its outcome in a row
before anything that comes after it. Holds the run's lease throughout, so one process alone executes it. Decides
nothing about what is allowed: the monitor does, at each call.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from cloned_sdk.host import CallOutcome, CallRequest, Constitution, Host, JsonObject, Refused
from cloned_skills.catalog import Definition
from cloned_skills.plan import Plan, PlannedStep
from cloned_skills.purse import Purse
from cloned_skills.records import ENDED, FINAL, Records, Run, Stand, StepRow, announce, spent
from cloned_skills.sequence import Call, calls_of, first_scope, outcome_of
from cloned_skills.tables import WHOLE

Progress = Callable[[str], None]

STANDS = {"waiting": "waiting", "blocked": "blocked", "failure": "failed", "ambiguous": "ambiguous"}
"""What a call's state makes of its run, the gravest last."""


@dataclass(slots=True)
class Job:
    """One run in this process's hands. `scope` is what expressions read, `known` the rows there were at the start."""

    run: Run
    plan: Plan
    constitution: Constitution
    purse: Purse
    known: Mapping[tuple[str, int], StepRow]
    progress: Progress
    scope: dict[str, Any]
    stop: threading.Event = field(default_factory=threading.Event)


class _Stopped(Exception):  # noqa: N818 - it is an end, not an error
    """The run goes no further for now."""

    def __init__(self, stand: Stand) -> None:
        super().__init__(stand.state)
        self.stand = stand


@dataclass(frozen=True, slots=True)
class Engine:
    """Executes runs of one workspace."""

    host: Host
    records: Records

    def execute(self, run_id: str, definition: Definition, progress: Progress) -> Run:
        """Carry a run as far as it goes now, and answer with how it stands.

        Raises Refused RUN_HELD when another process executes it, RUN_ENDED, PIPELINE_CHANGED when the pipeline is no
        longer what the run began with. Where the monitor itself cannot go on its error passes through, and the run
        can be resumed.
        """
        with self.host.lease(run_id) as mine:
            if not mine:
                raise Refused("RUN_HELD", f"run {run_id} is being executed by another process")
            run = self.records.get(run_id)
            _can_go_on(run, definition)
            job = self._job(run, definition, progress)
            self.records.stand(run_id, Stand("running"))
            self.records.stand(run_id, self._carry_out(job))
            return self.records.get(run_id)

    def _job(self, run: Run, definition: Definition, progress: Progress) -> Job:
        known = self.records.steps(run.run_id)
        lent = definition.constitution.lent()
        scope = first_scope(run.pipeline_id, run.pipeline_version, run.inputs, run.inputs_hash)
        return Job(run, definition.plan(), lent, Purse(lent.max_cost, spent(known)), known, progress, scope)

    def _carry_out(self, job: Job) -> Stand:
        step_id = None
        try:
            for planned in job.plan.steps:
                step_id = planned.step.id
                job.scope["steps"][step_id] = self._step(job, planned)
            step_id = None
            return Stand("done", result=job.plan.result.value(job.scope))
        except _Stopped as stopped:
            return stopped.stand
        except Refused as refusal:
            state = "blocked" if refusal.error_id == "BUDGET_RUN_EXCEEDED" else "failed"
            return Stand(state, step_id, refusal.error_id, refusal.fact)

    def _step(self, job: Job, planned: PlannedStep) -> JsonObject:
        """Carry a step out, or take it from its rows, and answer with what later expressions see of it."""
        step = planned.step
        whole = job.known.get((step.id, WHOLE))
        if whole is not None:
            job.progress(f"{step.id}: {whole.state} before")
            rows = [row for (name, at), row in sorted(job.known.items()) if name == step.id and at != WHOLE]
            return outcome_of(rows, skipped=whole.state == "skipped")
        if planned.when is not None and not planned.when.value(job.scope):
            job.progress(f"{step.id}: skipped, its condition does not hold")
            self.records.keep(job.run.run_id, StepRow(step.id, WHOLE, "skipped", step.tool))
            return outcome_of([], skipped=True)
        calls = calls_of(planned, job.scope)
        job.progress(f"{step.id}: {step.summary}")
        rows = self._calls(job, planned, calls)
        self.records.keep(job.run.run_id, StepRow(step.id, WHOLE, "done", step.tool))
        return outcome_of(rows)

    def _calls(self, job: Job, planned: PlannedStep, calls: Sequence[Call]) -> list[StepRow]:
        """Make the calls of a step, at most `parallel` at once. After one that stops the run no further one begins."""
        accepted = {"success", "failure"} if planned.step.on_error == "continue" else {"success"}

        def one(call: Call) -> StepRow | None:
            if job.stop.is_set():
                return None
            row = self._call(job, call)
            if row.state not in accepted:
                job.stop.set()
            return row

        rows: list[StepRow] = []
        with ThreadPoolExecutor(max_workers=planned.step.parallel) as pool:
            try:
                for row in pool.map(one, calls):
                    if row is not None:
                        rows.append(row)
                        job.progress(_line(row, len(calls)))
            except BaseException:
                job.stop.set()  # leaving the pool waits for what is under way; nothing further begins
                raise
        stopping = [row for row in rows if row.state not in accepted]
        if stopping:
            raise _Stopped(_stand(max(stopping, key=lambda row: list(STANDS).index(row.state))))
        return rows

    def _call(self, job: Job, call: Call) -> StepRow:
        """One call with its tries, its row written. A call whose row is final is not made again."""
        known = job.known.get((call.step_id, call.iteration))
        if known is not None and known.state in FINAL:
            return known
        if self.records.cancel_asked(job.run.run_id):
            raise _Stopped(Stand("cancelled", call.step_id, None, "cancelled on request"))
        category = self.host.tools.describe(call.tool_id).cost_category if job.constitution.max_cost else None
        costs: Counter[str] = Counter()
        for attempt in range(1, call.attempts + 1):
            job.purse.hold(category)
            outcome = self.host.tools.call(_request(job, call, attempt))
            job.purse.settle(category, outcome.costs)
            announce("call_answered")
            costs.update(outcome.costs)
            if attempt == call.attempts or not self._may_try_again(call, outcome):
                break
        row = _row(call, attempt, outcome, dict(costs))
        self.records.keep(job.run.run_id, row)
        return row

    def _may_try_again(self, call: Call, outcome: CallOutcome) -> bool:
        if _state(outcome) not in ("failure", "ambiguous"):
            return False
        tool = self.host.tools.describe(call.tool_id)
        return tool.idempotent or tool.effect == "read"


def _can_go_on(run: Run, definition: Definition) -> None:
    if run.state in ENDED:
        raise Refused("RUN_ENDED", f"run {run.run_id} is {run.state}; nothing is left to do")
    if definition.digest != run.definition:
        raise Refused(
            "PIPELINE_CHANGED",
            f"run {run.run_id} began with {run.pipeline_id} {run.pipeline_version} of {run.plugin_id}"
            f" {run.plugin_version}; what is enabled now is another",
        )


def _request(job: Job, call: Call, attempt: int) -> CallRequest:
    # A further try is a call of its own; under the first one's id the monitor would answer with the first one's end.
    again = f"/{attempt}" if attempt > 1 else ""
    return CallRequest(
        tool_id=call.tool_id,
        inputs=call.inputs,
        correlation_id=f"{job.run.run_id}/{call.step_id}/{call.iteration}{again}",
        caller=job.run.actor,
        run_id=job.run.run_id,
        constitution=job.constitution,
        sources=job.constitution.sources,
    )


def _state(outcome: CallOutcome) -> str:
    if outcome.outcome == "approval_required":
        return "waiting"
    # The same call is under way elsewhere: nothing is known of its end yet, so the run may ask again.
    return "blocked" if outcome.error_id == "CALL_IN_FLIGHT" else outcome.outcome


def _row(call: Call, attempts: int, outcome: CallOutcome, costs: Mapping[str, int]) -> StepRow:
    return StepRow(
        step_id=call.step_id,
        iteration=call.iteration,
        state=_state(outcome),
        tool_id=call.tool_id,
        attempts=attempts,
        call_id=outcome.call_id,
        approval_id=outcome.approval_id,
        error_id=outcome.error_id,
        message=outcome.message,
        output=outcome.output,
        costs=costs,
        flags=outcome.flags,
    )


def _stand(row: StepRow) -> Stand:
    reason = row.message or row.error_id or row.state
    if row.state == "ambiguous":
        reason = (
            f"it is not known whether call {row.call_id} of {row.tool_id} took effect: look at its target ({reason})"
        )
    error_id = "CALL_AMBIGUOUS" if row.state == "ambiguous" else row.error_id
    return Stand(STANDS[row.state], row.step_id, error_id, reason, row.approval_id)


def _line(row: StepRow, of: int) -> str:
    place = f"{row.step_id} {row.iteration + 1}/{of}" if of > 1 else row.step_id
    flagged = f", {len(row.flags)} suspicious passages flagged" if row.flags else ""
    return f"{place}: {row.state}{f' ({row.error_id})' if row.error_id else ''}{flagged}"
