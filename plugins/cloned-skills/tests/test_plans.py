"""A pipeline is judged as a whole before anything of it runs, and all its faults are told at once."""

from typing import Any

import pytest

from cloned_sdk.host import Refused
from cloned_skills.pack import Pipeline, Step
from cloned_skills.plan import Plan, plan
from cloned_skills.records import StepRow
from cloned_skills.sequence import calls_of, first_scope, outcome_of

CLOSED = {"type": "object", "additionalProperties": False, "properties": {"topic": {"type": "string"}, "items": {}}}


def step(name: str, inputs: dict[str, Any] | None = None, **more: Any) -> Step:
    return Step(id=name, tool="acme.docs.look@v1", summary="Look", inputs=inputs or {}, **more)


def pipeline(*steps: Step, result: dict[str, Any] | None = None) -> Pipeline:
    return Pipeline(
        id="pipeline.acme.one",
        version="1.0.0",
        summary="One",
        input_schema=CLOSED,
        steps=list(steps),
        result=result or {},
    )


def made(*steps: Step, result: dict[str, Any] | None = None) -> Plan:
    return plan(pipeline(*steps, result=result))


def faults(*steps: Step, result: dict[str, Any] | None = None) -> list[str]:
    with pytest.raises(Refused) as caught:
        made(*steps, result=result)
    assert caught.value.error_id == "PIPELINE_INVALID"
    return list(caught.value.details["faults"])


def test_a_step_may_read_those_before_it() -> None:
    two = made(step("a"), step("b", {"x": ["{{ steps.a.output }}", {"y": "{{ inputs.topic }}"}]})).steps[1]
    assert two.needs == {"a"}


@pytest.mark.parametrize("name", ["b", "c", "nowhere"])
def test_a_step_that_reads_itself_a_later_or_an_unknown_one_is_refused(name: str) -> None:
    [fault] = faults(step("a"), step("b", {"x": "{{ steps." + name + ".output }}"}), step("c"))
    assert f"reads step {name}" in fault


def test_a_step_id_stands_once() -> None:
    assert faults(step("a"), step("a")) == ["step a stands twice"]


def test_an_input_that_the_schema_does_not_have_is_refused() -> None:
    [fault] = faults(step("a", {"x": "{{ inputs.topik }}"}))
    assert "topik" in fault


@pytest.mark.parametrize(
    "wrong",
    [
        step("a", {"x": "{{ item }}"}),
        step("a", {"x": "{{ index }}"}),
        step("a", when="item"),
        step("a", for_each="item"),
    ],
)
def test_item_is_known_within_a_for_each_alone(wrong: Step) -> None:
    assert "item or index" in faults(wrong)[0]


def test_every_fault_is_told_at_once() -> None:
    found = faults(
        step("a", {"x": "{{ range(9) }}"}), step("b", when="{% if 1 %}"), step("c", for_each="steps.z.output"),
        result={"r": "{{ steps.y.output }}"},
    )  # fmt: skip
    assert len(found) == 4


def test_inputs_nested_too_deeply_are_refused() -> None:
    value: Any = "x"
    for _ in range(40):
        value = [value]
    assert "levels" in faults(step("a", {"x": value}))[0]


def calls(planned_step: Step, **inputs: Any) -> list[Any]:
    scope = first_scope("pipeline.acme.one", "1.0.0", inputs, "0" * 64)
    return [call.inputs for call in calls_of(made(planned_step).steps[0], scope)]


def test_a_for_each_makes_one_call_an_item_in_order() -> None:
    wanted = step("a", {"x": "{{ item }}", "at": "{{ index }}"}, for_each="inputs.items")
    assert calls(wanted, items=["p", "q"]) == [{"x": "p", "at": 0}, {"x": "q", "at": 1}]
    assert calls(wanted, items=[]) == []


def test_a_for_each_over_more_than_it_admits_makes_no_call() -> None:
    with pytest.raises(Refused, match="1000000 items; the step admits 100"):
        calls(step("a", for_each="inputs.items"), items=[0] * 1_000_000)


def test_a_for_each_over_no_list_is_refused() -> None:
    with pytest.raises(Refused, match="needs a list, not str"):
        calls(step("a", for_each="inputs.topic"), topic="abc")


def test_many_items_cannot_multiply_a_large_text() -> None:
    with pytest.raises(Refused, match="characters"):
        calls(
            step("a", {"x": "{{ inputs.topic }}"}, for_each="inputs.items", max_items=1000),
            items=[0] * 1000, topic="x" * 900_000,
        )  # fmt: skip


def test_a_step_s_outcome_as_later_steps_see_it() -> None:
    rows = [
        StepRow("a", 0, "success", "t", output={"n": 1}),
        StepRow("a", 1, "failure", "t", error_id="TOOL_FAILED"),
        StepRow("a", 2, "success", "t", output={"n": 3}),
    ]
    assert outcome_of(rows) == {
        "output": {"n": 1}, "outputs": [{"n": 1}, {"n": 3}], "count": 2, "failed": 1, "errors": ["TOOL_FAILED"],
        "skipped": False,
    }  # fmt: skip
    assert outcome_of([], skipped=True)["output"] is None
