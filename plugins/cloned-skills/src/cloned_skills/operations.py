"""What a person can ask of skills: run a pipeline, see and steer runs. Heavy parts load when they are needed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec import Struct

from cloned_sdk.host import Host, JsonObject, Operation, OperationContext, Refused

if TYPE_CHECKING:
    from cloned_skills.catalog import Catalog
    from cloned_skills.records import Records, Run

MAX_LISTED = 500


class RunInput(Struct, frozen=True, forbid_unknown_fields=True):
    """A pipeline and what it is given: named inputs, a file of them (YAML or JSON object), or both; the named win.

    `later` records the run and executes nothing yet; `cloned.skills.runs.resume` does. `no_wait` tells a surface with a
    person before it not to stay until somebody has decided; the run stops there in either case.
    """

    pipeline: str
    inputs: dict[str, Any] = {}
    input_file: str | None = None
    dry_run: bool = False
    later: bool = False
    no_wait: bool = False


class PlannedLine(Struct, frozen=True, omit_defaults=True):
    """One call that a run would make, as `rehearsal.PlannedCall` has it."""

    step: str
    tool: str
    outcome: str
    effect: str
    iteration: int = 0
    depends_on: list[str] = []
    inputs: dict[str, Any] = {}
    costs: dict[str, int] = {}
    gates: list[Any] = []
    error_id: str | None = None
    message: str | None = None


class RunAnswer(Struct, frozen=True, omit_defaults=True):
    """How a run stands, or what a dry run would do (`planned`, and no `run_id`)."""

    state: str
    pipeline: str
    version: str
    run_id: str | None = None
    result: dict[str, Any] | None = None
    planned: list[PlannedLine] = []
    next: str | None = None


class OneRun(Struct, frozen=True, forbid_unknown_fields=True):
    """A run by its id."""

    id: str


class ListInput(Struct, frozen=True, forbid_unknown_fields=True):
    """The newest runs, at most `limit` (500); `state` narrows to one state."""

    state: str | None = None
    limit: int = 50


class RunLine(Struct, frozen=True):
    """A run in a list."""

    run_id: str
    pipeline: str
    state: str
    created_at: str
    step: str | None
    reason: str | None
    approval_id: str | None


class Runs(Struct, frozen=True):
    """The newest first."""

    runs: list[RunLine]


class CallLine(Struct, frozen=True, omit_defaults=True):
    """A step's call as its row has it; a step as a whole has no iteration."""

    step: str
    state: str
    tool: str
    iteration: int | None = None
    attempts: int = 0
    call_id: str | None = None
    approval_id: str | None = None
    error_id: str | None = None
    message: str | None = None
    output_hash: str | None = None
    costs: dict[str, int] = {}
    flags: list[tuple[str, str]] = []


class RunDetail(Struct, frozen=True):
    """Everything that is recorded of a run but its steps' outputs."""

    run_id: str
    pipeline: str
    version: str
    plugin: str
    state: str
    step: str | None
    error_id: str | None
    reason: str | None
    approval_id: str | None
    actor: str
    created_at: str
    updated_at: str
    inputs: dict[str, Any]
    inputs_hash: str
    costs: dict[str, int]
    result: dict[str, Any] | None
    steps: list[CallLine]


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """No inputs."""


class OnePipeline(Struct, frozen=True, forbid_unknown_fields=True):
    """A pipeline by its id."""

    id: str


class PipelineLine(Struct, frozen=True):
    """A pipeline in a list; one of a refused pack has its reason instead of a version."""

    id: str
    version: str
    plugin: str
    summary: str
    refused: str | None = None


class Pipelines(Struct, frozen=True):
    """Every pipeline of the enabled plugins, and every skill pack that was refused."""

    pipelines: list[PipelineLine]


class PipelineDetail(Struct, frozen=True):
    """A pipeline, what binds its runs, and which of its steps the constitution will not let happen."""

    id: str
    version: str
    plugin: str
    summary: str
    description: str
    constitution: dict[str, Any]
    input_schema: dict[str, Any]
    steps: list[dict[str, Any]]
    not_covered: list[str]
    fault: str | None


@dataclass(frozen=True, slots=True)
class Skills:
    """The handlers, over what the plugin was lent."""

    host: Host

    def operations(self) -> list[Operation]:
        """Every operation of this plugin."""
        return [
            Operation("cloned.skills.run", "Run a pipeline", "write", RunInput, RunAnswer, self.run),
            Operation("cloned.skills.runs.list", "The newest runs", "read", ListInput, Runs, self.list_runs),
            Operation("cloned.skills.runs.show", "One run with its steps", "read", OneRun, RunDetail, self.show),
            Operation(_RESUME, "Let a run go on", "write", OneRun, RunAnswer, self.resume),
            Operation("cloned.skills.runs.cancel", "End a run for good", "write", OneRun, RunAnswer, self.cancel),
            Operation("cloned.skills.pipelines.list", "What can be run", "read", Nothing, Pipelines, self.pipelines),
            Operation(
                "cloned.skills.pipelines.show", "One pipeline", "read", OnePipeline, PipelineDetail, self.pipeline
            ),
        ]

    def run(self, context: OperationContext, wanted: RunInput) -> RunAnswer:
        """Start a run and carry it as far as it goes, or rehearse it.

        Raises Refused: APPROVAL_REQUIRED (details run_id, approval_id), the monitor's refusal where the run is blocked,
        RUN_FAILED or CALL_AMBIGUOUS, each with the run id; PIPELINE_UNKNOWN, PIPELINE_INVALID, INPUT_INVALID before it.
        """
        from cloned_skills.inputs import run_inputs  # noqa: PLC0415 - jsonschema costs 100 ms

        definition = self._catalog().get(wanted.pipeline)
        pipeline = definition.pipeline
        plan = definition.plan()
        inputs = run_inputs(pipeline.input_schema, wanted.inputs, wanted.input_file)
        if wanted.dry_run:
            from cloned_skills.rehearsal import rehearse  # noqa: PLC0415

            planned = [PlannedLine(**call.told()) for call in rehearse(self.host, definition, inputs, context.actor)]
            return RunAnswer("dry_run", pipeline.id, pipeline.version, planned=planned)
        for planned_step in plan.steps:
            if planned_step.when is None:
                self.host.tools.describe(
                    planned_step.step.tool
                )  # a tool that is not there is told before anything runs
        run_id = self._records().create(definition, inputs, context.actor)
        context.progress(f"run {run_id}")
        if wanted.later:
            goes_on = f"cloned runs resume {run_id}"
            return RunAnswer("ready", pipeline.id, pipeline.version, run_id, next=goes_on)
        return self._execute(run_id, context)

    def resume(self, context: OperationContext, wanted: OneRun) -> RunAnswer:
        """Carry a run on from where it is. Raises as `run` does, and RUN_UNKNOWN, RUN_ENDED, RUN_HELD."""
        return self._execute(wanted.id, context)

    def cancel(self, context: OperationContext, wanted: OneRun) -> RunAnswer:
        """End a run; where a process executes it, leave word for that process. Raises RUN_UNKNOWN, RUN_ENDED."""
        from cloned_skills.records import ENDED, Stand  # noqa: PLC0415

        records = self._records()
        run_id = records.get(wanted.id).run_id
        with self.host.lease(run_id) as mine:
            run = records.get(run_id)
            if run.state in ENDED:
                raise Refused("RUN_ENDED", f"run {run.run_id} is {run.state} already")
            if mine:
                records.stand(run.run_id, Stand("cancelled", run.step_id, None, f"cancelled by {context.actor}"))
            else:
                records.ask_to_cancel(run.run_id)
        return _answer(records.get(run_id), "cancelled" if mine else "cancelling")

    def list_runs(self, context: OperationContext, wanted: ListInput) -> Runs:
        """The newest runs."""
        del context
        found = self._records().listed(wanted.state, max(1, min(wanted.limit, MAX_LISTED)))
        return Runs(
            [
                RunLine(
                    run.run_id, run.pipeline_id, run.state, run.created_at, run.step_id, run.reason, run.approval_id
                )
                for run in found
            ]
        )

    def show(self, context: OperationContext, wanted: OneRun) -> RunDetail:
        """One run. Raises RUN_UNKNOWN."""
        from cloned_skills.records import spent  # noqa: PLC0415

        del context
        records = self._records()
        run = records.get(wanted.id)
        rows = records.steps(run.run_id)
        return RunDetail(
            run_id=run.run_id,
            pipeline=run.pipeline_id,
            version=run.pipeline_version,
            plugin=f"{run.plugin_id} {run.plugin_version}",
            state=run.state,
            step=run.step_id,
            error_id=run.error_id,
            reason=run.reason,
            approval_id=run.approval_id,
            actor=run.actor,
            created_at=run.created_at,
            updated_at=run.updated_at,
            inputs=run.inputs,
            inputs_hash=run.inputs_hash,
            costs=dict(spent(rows)),
            result=run.result,
            steps=[CallLine(**row.told()) for row in rows.values()],
        )

    def pipelines(self, context: OperationContext, wanted: Nothing) -> Pipelines:
        """Every pipeline and every refused pack."""
        del context, wanted
        found = self._catalog()
        lines = [
            PipelineLine(key, made.pipeline.version, made.plugin_id, made.pipeline.summary)
            for key, made in found.definitions.items()
        ]
        lines += [
            PipelineLine(pack.pack_id, "", pack.plugin_id, "refused skill pack", f"{pack.error_id}: {pack.reason}")
            for pack in found.refused
        ]
        return Pipelines(lines)

    def pipeline(self, context: OperationContext, wanted: OnePipeline) -> PipelineDetail:
        """One pipeline. Raises PIPELINE_UNKNOWN."""
        from msgspec import to_builtins  # noqa: PLC0415

        del context
        found = self._catalog().get(wanted.id)
        fault = None
        try:
            found.plan()
        except Refused as refusal:
            fault = refusal.fact
        told = found.pipeline
        return PipelineDetail(
            told.id,
            told.version,
            f"{found.plugin_id} {found.plugin_version}",
            told.summary,
            told.description,
            to_builtins(found.constitution),
            told.input_schema,
            [{"id": step.id, "tool": step.tool, "summary": step.summary} for step in told.steps],
            found.outside(),
            fault,
        )

    def _catalog(self) -> "Catalog":
        from cloned_skills.catalog import catalog  # noqa: PLC0415 - YAML is read only where a pipeline is asked for

        return catalog(self.host.skill_packs())

    def _records(self) -> "Records":
        from cloned_skills.records import Records  # noqa: PLC0415 - SQLAlchemy costs 150 ms

        return Records(self.host)

    def _execute(self, run_id: str, context: OperationContext) -> RunAnswer:
        from cloned_skills.engine import Engine  # noqa: PLC0415 - with SQLAlchemy and Jinja2

        records = self._records()
        found = records.get(run_id)  # a person may have given the end of the id; rows and leases go by the whole
        definition = self._catalog().get(found.pipeline_id)
        run = Engine(self.host, records).execute(found.run_id, definition, context.progress)
        return _answer(run, run.state) if run.state == "done" else _refuse(run)


def _answer(run: "Run", state: str) -> RunAnswer:
    return RunAnswer(state, run.pipeline_id, run.pipeline_version, run.run_id, result=run.result)


_RESUME = "cloned.skills.runs.resume"


def _refuse(run: "Run") -> NoReturn:
    """Say why a run stopped, as the refusal whose exit code fits."""
    details: JsonObject = {"run_id": run.run_id, "state": run.state, "step": run.step_id, "error_id": run.error_id}
    look = f"run 'cloned runs show {run.run_id}'"
    place = f"run {run.run_id}" + (f", step {run.step_id}" if run.step_id else "")
    if run.state == "waiting":
        raise Refused(
            "APPROVAL_REQUIRED",
            f"{place} waits for a person's decision on request {run.approval_id}",
            repair=f"run 'cloned approvals approve {run.approval_id} --resume'",
            details=details | {"approval_id": run.approval_id, "goes_on_with": _RESUME},
        )
    if run.state == "cancelled":
        raise Refused("RUN_ENDED", f"{place}: cancelled", repair=look, details=details)
    if run.state == "failed":
        raise Refused("RUN_FAILED", f"{place}: {run.error_id}: {run.reason}", repair=look, details=details)
    # Where it is blocked the registry's own repair is the better one; once that is mended the run can go on.
    repair = look if run.state == "ambiguous" else None
    if run.state == "blocked":
        details["resume"] = f"cloned runs resume {run.run_id}"
    raise Refused(run.error_id or "RUN_FAILED", f"{place}: {run.reason}", repair=repair, details=details)
