"""A run does its steps in order through the monitor, stops where it must with the reason, and goes on where it was."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from cloned.workspace import Workspace
from tests.skills.bench import Bench, kernel_refusal


def test_a_run_does_every_step_and_answers_with_its_result(skills: Bench) -> None:
    answer = skills.run("save", text="hello")
    assert answer.state == "done"
    assert answer.result["count"] == 3
    assert answer.result["exported"] is False
    assert set(skills.artifacts()) == {"first.md", "a.md", "b.md", "c.md"}
    shown = skills.show(answer.run_id)
    assert [(line.step, line.iteration, line.state) for line in shown.steps if line.iteration is None] == [
        ("first", None, "done"), ("many", None, "done"), ("out", None, "skipped"),
    ]  # fmt: skip
    assert shown.actor == "person:ada"


def test_progress_is_told_step_by_step(skills: Bench) -> None:
    skills.run("save", text="hello")
    assert any(line.startswith("many 3/3: success") for line in skills.asker.heard)


def test_equal_inputs_give_equal_content(skills: Bench, workspace: Workspace) -> None:
    first = skills.run("save", text="hello").result
    assert first == skills.run("save", text="hello").result
    assert first != skills.run("save", text="other").result


def test_items_keep_their_order_however_many_run_at_once(skills: Bench) -> None:
    names = [f"n{at}" for at in range(20)]
    answer = skills.run("save", text="x", names=names)
    kept = skills.artifacts()
    first = answer.result["hashes"]
    assert len(first) == 20
    assert [kept[f"{name}.md"].split()[0] for name in names] == [str(at).encode() for at in range(20)]


def test_a_run_that_needs_approval_waits_and_goes_on_once_decided(skills: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    refused = skills.stopped("save", text="hello", folder=str(folder))
    assert refused.error_id == "APPROVAL_REQUIRED"
    run_id, approval_id = refused.details["run_id"], refused.details["approval_id"]
    assert refused.repair == f"run 'cloned approvals approve {approval_id} --resume'"
    assert not folder.exists()
    assert skills.show(run_id).state == "waiting"
    before = skills.artifacts()

    again = skills.refusal(lambda: skills.resume(run_id))
    assert (again.error_id, again.details["approval_id"]) == ("APPROVAL_REQUIRED", approval_id)

    skills.approve(approval_id)
    assert skills.resume(run_id).state == "done"
    assert (folder / "first.md").read_bytes() == b"hello"
    assert skills.artifacts() == before
    assert len(skills.audited(run_id, "intent")) == 5


def test_a_denied_approval_blocks_the_run_with_the_reason(skills: Bench, tmp_path: Path) -> None:
    refused = skills.stopped("save", text="hello", folder=str(tmp_path / "out"))
    skills.deny(refused.details["approval_id"], "not this folder")
    denied = skills.refusal(lambda: skills.resume(refused.details["run_id"]))
    assert denied.error_id == "APPROVAL_DENIED"
    assert "not this folder" in denied.fact
    shown = skills.show(refused.details["run_id"])
    assert (shown.state, shown.step, shown.error_id) == ("blocked", "out", "APPROVAL_DENIED")
    assert not (tmp_path / "out").exists()


def test_a_tool_outside_the_constitution_stops_the_run_and_is_audited(skills: Bench) -> None:
    refused = skills.stopped("outside")
    assert refused.error_id == "CONSTITUTION_DENIED"
    run_id = refused.details["run_id"]
    assert skills.show(run_id).state == "blocked"
    assert set(skills.artifacts()) == {"first.md"}
    last = skills.audited(run_id)[-1]
    assert (last["outcome"], last["error_id"]) == ("blocked", "CONSTITUTION_DENIED")
    assert "cloned.documents.list@v1" in str(last)


def test_a_tool_that_nobody_offers_is_told_before_anything_runs(skills: Bench) -> None:
    assert kernel_refusal(lambda: skills.run("unknown")).id == "TOOL_UNKNOWN"
    assert skills.ask("runs.list").runs == []
    assert skills.artifacts() == {}


def test_a_run_spends_no_more_than_its_constitution_grants(skills: Bench, tmp_path: Path) -> None:
    folders = [str(tmp_path / f"out{at}") for at in range(3)]
    refused = skills.stopped("publish", folders=folders)
    run_id = refused.details["run_id"]
    while refused.error_id == "APPROVAL_REQUIRED":
        skills.approve(refused.details["approval_id"])
        refused = skills.refusal(lambda: skills.resume(run_id))
    assert refused.error_id == "BUDGET_RUN_EXCEEDED"
    assert [Path(folder).exists() for folder in folders] == [True, True, False]
    assert skills.show(run_id).costs["content_publish"] == 2


def test_a_step_that_may_fail_is_tried_as_often_as_it_says_and_passed_over(skills: Bench) -> None:
    answer = skills.run("failing", names=["a.md", "manifest.json", "b.md"])
    assert answer.result == {"count": 2, "failed": 1, "errors": ["INPUT_INVALID"]}
    lines = {line.iteration: line for line in skills.show(answer.run_id).steps}
    assert [lines[at].attempts for at in range(3)] == [1, 3, 1]


def test_a_failure_ends_a_run_that_does_not_say_otherwise(skills: Bench) -> None:
    refused = skills.stopped("strict", names=["a.md", "manifest.json", "b.md"])
    assert refused.error_id == "RUN_FAILED"
    assert set(skills.artifacts()) == {"a.md"}
    again = skills.refusal(lambda: skills.resume(refused.details["run_id"]))
    assert again.error_id == "RUN_ENDED"


def test_an_expression_that_finds_nothing_ends_the_run_with_its_place(skills: Bench) -> None:
    refused = skills.stopped("wrong")
    assert refused.error_id == "RUN_FAILED"
    assert "step second, inputs.content" in refused.fact


def test_a_dry_run_shows_every_call_and_writes_no_row(skills: Bench, tmp_path: Path) -> None:
    answer = skills.ask(
        "run", pipeline="pipeline.tests.save", inputs={"text": "x", "folder": str(tmp_path / "out")}, dry_run=True
    )
    assert [(call.step, call.outcome, call.depends_on) for call in answer.planned] == [
        ("first", "dry_run", []), ("many", "depends", ["first"]), ("out", "depends", ["first"]),
    ]  # fmt: skip
    assert skills.ask("runs.list").runs == []
    assert skills.artifacts() == {}
    assert not (tmp_path / "out").exists()


def test_a_run_that_need_not_wait_is_recorded_and_executed_on_resume(skills: Bench) -> None:
    answer = skills.ask("run", pipeline="pipeline.tests.save", inputs={"text": "x"}, later=True)
    assert answer.state == "ready"
    assert skills.artifacts() == {}
    assert skills.resume(answer.run_id).state == "done"


def test_the_end_of_an_id_that_a_list_shows_stands_for_the_whole(skills: Bench) -> None:
    answer = skills.ask("run", pipeline="pipeline.tests.save", inputs={"text": "x"}, later=True)
    short = answer.run_id.rpartition("-")[2]
    with skills.lease(answer.run_id):
        assert skills.refusal(lambda: skills.resume(short)).error_id == "RUN_HELD"
    assert (skills.resume(short).state, skills.show(short).state) == ("done", "done")
    assert [step.state for step in skills.show(short).steps] == [
        step.state for step in skills.show(answer.run_id).steps
    ]


def test_one_process_at_a_time_executes_a_run(skills: Bench) -> None:
    answer = skills.ask("run", pipeline="pipeline.tests.save", inputs={"text": "x"}, later=True)
    with skills.lease(answer.run_id) as mine:
        assert mine
        assert skills.refusal(lambda: skills.resume(answer.run_id)).error_id == "RUN_HELD"
    assert skills.resume(answer.run_id).state == "done"


def test_a_run_is_bound_to_the_pipeline_it_began_with(skills: Bench) -> None:
    answer = skills.ask("run", pipeline="pipeline.tests.save", inputs={"text": "x"}, later=True)
    skills.pack = skills.pack.replace("summary: Save the text", "summary: Save another text")
    assert skills.refusal(lambda: skills.resume(answer.run_id)).error_id == "PIPELINE_CHANGED"
    assert skills.artifacts() == {}


def test_a_cancelled_run_is_over(skills: Bench, tmp_path: Path) -> None:
    run_id = skills.stopped("save", text="x", folder=str(tmp_path / "out")).details["run_id"]
    assert skills.ask("runs.cancel", id=run_id).state == "cancelled"
    assert skills.refusal(lambda: skills.resume(run_id)).error_id == "RUN_ENDED"
    assert skills.refusal(lambda: skills.ask("runs.cancel", id=run_id)).error_id == "RUN_ENDED"


def test_a_run_under_way_stops_where_it_is_when_somebody_cancels_it(skills: Bench) -> None:
    told = []

    def cancel(text: str) -> None:
        if text.startswith("first: success"):
            [line] = skills.ask("runs.list").runs
            told.append(skills.ask("runs.cancel", id=line.run_id).state)

    skills.asker.on_progress = cancel
    refused = skills.stopped("save", text="x")
    assert told == ["cancelling"]
    assert refused.details["state"] == "cancelled"
    assert set(skills.artifacts()) == {"first.md"}


@pytest.mark.parametrize("operation", ["runs.show", "runs.resume", "runs.cancel"])
@pytest.mark.parametrize("run_id", ["../../etc/passwd", "", "0190b6a2-7d3c-7c44-9f57-5a3f6c1d2e4b"])
def test_a_run_that_is_not_there_is_unknown(skills: Bench, operation: str, run_id: str) -> None:
    assert skills.refusal(lambda: skills.ask(operation, id=run_id)).error_id == "RUN_UNKNOWN"


def test_a_call_that_is_done_is_not_made_again_even_when_the_monitor_has_forgotten_it(
    skills: Bench, workspace: Workspace, tmp_path: Path
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    first = skills.stopped("publish", folders=[str(folder) for folder in folders])
    run_id = first.details["run_id"]
    skills.approve(first.details["approval_id"])
    second = skills.refusal(lambda: skills.resume(run_id))
    (folders[0] / "first.md").unlink()
    with workspace.database.begin() as transaction:
        forgotten = sa.text("delete from calls where correlation_id = :id")
        assert transaction.connection.execute(forgotten, {"id": f"{run_id}/out/0"}).rowcount == 1
    skills.approve(second.details["approval_id"])
    assert skills.resume(run_id).state == "done"
    assert not (folders[0] / "first.md").exists()
    assert (folders[1] / "first.md").exists()


def test_outputs_stay_only_while_the_run_may_go_on(skills: Bench, workspace: Workspace, tmp_path: Path) -> None:
    def outputs() -> list[tuple[bool, bool]]:
        with workspace.database.read() as connection:
            rows = connection.execute(
                sa.text("select output, output_hash from cloned_skills__steps where iteration >= 0")
            )
            return sorted({(row.output is not None, row.output_hash is not None) for row in rows})

    refused = skills.stopped("save", text="x", folder=str(tmp_path / "out"))
    assert outputs() == [(False, False), (True, True)]
    skills.approve(refused.details["approval_id"])
    skills.resume(refused.details["run_id"])
    assert outputs() == [(False, True)]


def test_pipelines_are_listed_with_what_the_constitution_will_not_let_happen(skills: Bench) -> None:
    assert "pipeline.tests.save" in {line.id for line in skills.ask("pipelines.list").pipelines}
    shown = skills.ask("pipelines.show", id="pipeline.tests.outside")
    assert (shown.not_covered, shown.fault) == (["sneak"], None)
