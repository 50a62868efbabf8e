"""What a step's calls are and what later steps see of them: worked out from data alone, the same in every process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloned_sdk.host import JsonObject, Refused
from cloned_skills.expressions import Meter
from cloned_skills.plan import PlannedStep
from cloned_skills.records import StepRow

MAX_STEP_WEIGHT = 16_000_000


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a step: `iteration` counts from 0, `attempts` is how often it may be tried in all."""

    step_id: str
    iteration: int
    tool_id: str
    inputs: JsonObject
    attempts: int


def first_scope(pipeline_id: str, version: str, inputs: JsonObject, inputs_hash: str) -> dict[str, Any]:
    """What expressions can read before any step: no time, no id, so equal inputs give equal values."""
    run = {"pipeline_id": pipeline_id, "pipeline_version": version, "inputs_hash": inputs_hash}
    return {"inputs": inputs, "steps": {}, "run": run}


def calls_of(planned: PlannedStep, scope: Mapping[str, Any]) -> list[Call]:
    """Every call of a step with its inputs, before the first is made. Raises Refused PIPELINE_INVALID."""
    step = planned.step
    meter = Meter(MAX_STEP_WEIGHT)
    if planned.for_each is None:
        return [Call(step.id, 0, step.tool, planned.inputs.value(scope, meter), step.retry.attempts)]
    items = planned.for_each.value(scope)
    if not isinstance(items, list):
        raise Refused("PIPELINE_INVALID", f"step {step.id}, for_each: needs a list, not {type(items).__name__}")
    if len(items) > step.max_items:
        fact = f"step {step.id}, for_each: {len(items)} items; the step admits {step.max_items}"
        raise Refused("PIPELINE_INVALID", fact)
    return [
        Call(
            step.id,
            index,
            step.tool,
            planned.inputs.value({**scope, "item": item, "index": index}, meter),
            step.retry.attempts,
        )
        for index, item in enumerate(items)
    ]


def outcome_of(rows: Sequence[StepRow], *, skipped: bool = False) -> JsonObject:
    """What expressions see of a step.

    `output` is the first call's (None where it failed or there was none), `outputs` those of every call that succeeded,
    in the order of the items; `count` and `failed` are numbers of calls, `errors` the error ids of those that failed.
    """
    outputs = [row.output for row in rows if row.state == "success"]
    return {
        "output": rows[0].output if rows else None,
        "outputs": outputs,
        "count": len(outputs),
        "failed": len(rows) - len(outputs),
        "errors": [row.error_id for row in rows if row.state != "success"],
        "skipped": skipped,
    }
