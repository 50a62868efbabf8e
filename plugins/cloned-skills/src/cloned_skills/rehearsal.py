"""A dry run: every call that a run would make, judged by the monitor and carried out by nobody. Writes no row.

A step whose calls hang on an earlier step's outcome cannot be judged before; it is shown with the steps it depends on.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from cloned_sdk.host import CallOutcome, CallRequest, Host, JsonObject
from cloned_skills.catalog import Definition
from cloned_skills.plan import PlannedStep
from cloned_skills.records import digest
from cloned_skills.sequence import Call, calls_of, first_scope


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One call that a run would make.

    `outcome`: `dry_run` (it may go ahead, after the gates), the monitor's refusal, `skipped`, or `depends`, with the
    steps that must come first. `gates` are the rules by which a person must approve it, `inputs` redacted.
    """

    step: str
    tool: str
    outcome: str
    effect: str
    iteration: int = 0
    depends_on: list[str] = field(default_factory=list)
    inputs: JsonObject = field(default_factory=dict)
    costs: dict[str, int] = field(default_factory=dict)
    gates: list[Any] = field(default_factory=list)
    error_id: str | None = None
    message: str | None = None

    def told(self) -> JsonObject:
        """As a surface shows it."""
        return asdict(self)


def rehearse(host: Host, definition: Definition, inputs: JsonObject, actor: str) -> list[PlannedCall]:
    """What a run with these inputs would do, in order. Raises Refused PIPELINE_INVALID, and what `describe` raises."""
    rehearsal = _Rehearsal(host, definition, actor, host.new_id())
    scope = first_scope(definition.pipeline.id, definition.pipeline.version, inputs, digest(inputs))
    return [call for step in definition.plan().steps for call in rehearsal.step(step, scope)]


@dataclass(frozen=True, slots=True)
class _Rehearsal:
    host: Host
    definition: Definition
    actor: str
    run_id: str

    def step(self, planned: PlannedStep, scope: JsonObject) -> Iterator[PlannedCall]:
        step = planned.step
        if planned.when is not None and not planned.when.steps and not planned.when.value(scope):
            yield PlannedCall(step.id, step.tool, "skipped", "")
            return
        effect = self.host.tools.describe(step.tool).effect
        if planned.needs:
            covered = self.definition.constitution.covers(step.tool)
            yield PlannedCall(
                step.id,
                step.tool,
                "depends",
                effect,
                depends_on=sorted(planned.needs),
                error_id=None if covered else "CONSTITUTION_DENIED",
                message=None if covered else "the pack's constitution does not cover this tool",
            )
            return
        for call in calls_of(planned, scope):
            yield _planned(call, self.host.tools.call(self._request(call)), effect)

    def _request(self, call: Call) -> CallRequest:
        constitution = self.definition.constitution.lent()
        return CallRequest(
            tool_id=call.tool_id,
            inputs=call.inputs,
            correlation_id=f"{self.run_id}/{call.step_id}/{call.iteration}",
            caller=self.actor,
            run_id=self.run_id,
            constitution=constitution,
            sources=constitution.sources,
            dry_run=True,
        )


def _planned(call: Call, outcome: CallOutcome, effect: str) -> PlannedCall:
    return PlannedCall(
        call.step_id,
        call.tool_id,
        outcome.outcome,
        effect,
        iteration=call.iteration,
        inputs=dict(outcome.judgement.get("inputs", {})),
        costs=dict(outcome.costs),
        gates=list(outcome.judgement.get("approval_rules", [])),
        error_id=outcome.error_id,
        message=outcome.message,
    )
