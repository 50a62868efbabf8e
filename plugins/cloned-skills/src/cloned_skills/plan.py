"""Judge a pipeline before anything runs and compile it. Collects every fault, so that an author mends all at once."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cloned_sdk.host import Refused
from cloned_skills.expressions import Expression, Meter, compile_bare, compile_text, has_expression
from cloned_skills.pack import Pipeline, Step

MAX_DEPTH = 16
MAX_TEXTS = 300

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Template:
    """A JSON value with expressions in its texts: `root` holds each compiled where its text stood."""

    root: Any
    expressions: tuple[Expression, ...]

    @property
    def steps(self) -> frozenset[str]:
        """The ids of the steps whose outcomes it needs."""
        return frozenset(name for expression in self.expressions for name in expression.steps)

    def value(self, scope: Mapping[str, Any], meter: Meter | None = None) -> Any:
        """The value with every expression worked out. Raises Refused PIPELINE_INVALID."""
        return _filled(self.root, scope, meter or Meter())


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step with its texts compiled."""

    step: Step
    inputs: Template
    when: Expression | None
    for_each: Expression | None

    @property
    def needs(self) -> frozenset[str]:
        """The earlier steps without whose outcomes this one's calls cannot be told."""
        return self.inputs.steps.union(*(part.steps for part in (self.when, self.for_each) if part is not None))


@dataclass(frozen=True, slots=True)
class Plan:
    """A pipeline that holds together."""

    pipeline: Pipeline
    steps: tuple[PlannedStep, ...]
    result: Template


def plan(pipeline: Pipeline) -> Plan:
    """Compile a pipeline. Raises Refused PIPELINE_INVALID with every fault."""
    judge = _Judge(pipeline)
    steps = [made for step in pipeline.steps if (made := judge.step(step)) is not None]
    result = judge.attempt(compile_value, pipeline.result, "result")
    if result is not None:
        judge.reads(result.expressions, "result", items=False)
    if judge.faults or result is None:
        told = "; ".join(judge.faults)
        raise Refused("PIPELINE_INVALID", f"{pipeline.id} cannot be run: {told}", details={"faults": judge.faults})
    return Plan(pipeline, tuple(steps), result)


def compile_value(value: Any, where: str) -> Template:
    """Compile the expressions of a JSON value. Raises Refused PIPELINE_INVALID."""
    found: list[Expression] = []
    root = _compiled(value, where, found, 0)
    return Template(root, tuple(found))


def _compiled(value: Any, where: str, found: list[Expression], depth: int) -> Any:
    if depth > MAX_DEPTH or len(found) > MAX_TEXTS:
        raise Refused("PIPELINE_INVALID", f"{where}: at most {MAX_DEPTH} levels and {MAX_TEXTS} expressions")
    if isinstance(value, dict):
        return {key: _compiled(part, f"{where}.{key}", found, depth + 1) for key, part in value.items()}
    if isinstance(value, list):
        return [_compiled(part, f"{where}[{at}]", found, depth + 1) for at, part in enumerate(value)]
    if isinstance(value, str) and has_expression(value):
        found.append(compile_text(value, where))
        return found[-1]
    return value


def _filled(node: Any, scope: Mapping[str, Any], meter: Meter) -> Any:
    if isinstance(node, Expression):
        return node.value(scope, meter)
    if isinstance(node, dict):
        return {key: _filled(part, scope, meter) for key, part in node.items()}
    if isinstance(node, list):
        return [_filled(part, scope, meter) for part in node]
    return node


@dataclass(slots=True)
class _Judge:
    """Goes through the steps in order and knows which stand before the one in hand."""

    pipeline: Pipeline
    earlier: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def attempt(self, make: Callable[[Any, str], Made], value: Any, where: str) -> Made | None:
        try:
            return make(value, where)
        except Refused as refusal:
            self.faults.append(refusal.fact)
            return None

    def step(self, step: Step) -> PlannedStep | None:
        if step.id in self.earlier:
            self.faults.append(f"step {step.id} stands twice")
        inputs = self.attempt(compile_value, step.inputs, f"step {step.id}, inputs")
        when = self.attempt(compile_bare, step.when, f"step {step.id}, when") if step.when else None
        each = self.attempt(compile_bare, step.for_each, f"step {step.id}, for_each") if step.for_each else None
        self.reads([part for part in (when, each) if part is not None], f"step {step.id}", items=False)
        self.reads(inputs.expressions if inputs else (), f"step {step.id}", items=step.for_each is not None)
        self.earlier.append(step.id)
        return PlannedStep(step, inputs, when, each) if inputs is not None else None

    def reads(self, expressions: Iterable[Expression], where: str, *, items: bool) -> None:
        """Whether what expressions read will be there: earlier steps, declared inputs, `item` within for_each."""
        properties = self.pipeline.input_schema.get("properties", {})
        closed = self.pipeline.input_schema.get("additionalProperties") is False
        for expression in expressions:
            for name in sorted(expression.steps.difference(self.earlier)):
                self.faults.append(f"{where} reads step {name}, which does not stand before it")
            for name in sorted(expression.inputs.difference(properties) if closed else ()):
                self.faults.append(f"{where} reads the input {name}, which the input schema does not have")
            if not items and expression.names & {"item", "index"}:
                self.faults.append(f"{where} reads item or index outside the inputs of a for_each")
