"""kill -9 at every named step of a run: it goes on, and no effect happens twice."""

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cloned.workspace import Workspace
from tests.skills.bench import Bench

DRIVER = Path(__file__).parent / "crash_driver.py"
INPUTS = {"text": "hello", "names": ["a", "b"]}
POINTS = [
    *[("skills.call_answered", at) for at in (1, 3)],
    *[("skills.call_kept", at) for at in (1, 2, 3)],
    *[("skills.step_kept", at) for at in (1, 2, 3)],
    *[("skills.run_created", 1), ("skills.run_running", 1)],
    *[(f"call.{name}", 2) for name in ("judged", "authorized", "intent", "dispatched", "settled", "outcome")],
    *[("artifact.written", 2), ("artifact.renamed", 2)],
]
"""The run makes three calls: `first`, then two of `many`, which may be under way at once."""


def drive(workspace: Workspace, kill: tuple[str, int] | None, **wanted: Any) -> subprocess.CompletedProcess[str]:
    user = workspace.user
    told = {
        "root": str(workspace.places.root),
        "config": str(user.config), "state": str(user.state), "data": str(user.data),
        "kill": kill, **wanted,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, str(DRIVER)], input=json.dumps(told), capture_output=True, text=True, check=False
    )


def only_run(skills: Bench) -> str:
    [line] = skills.ask("runs.list").runs
    return str(line.run_id)


@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point[0]}-{point[1]}")
def test_a_killed_run_goes_on_and_repeats_nothing(skills: Bench, workspace: Workspace, point: tuple[str, int]) -> None:
    killed = drive(workspace, point, pipeline="save", inputs=INPUTS)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run_id = only_run(skills)

    resumed = drive(workspace, None, resume=run_id)
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["state"] == "done"

    assert skills.artifacts().keys() == {"first.md", "a.md", "b.md"}
    succeeded = Counter(entry["correlation_id"] for entry in skills.audited(run_id) if entry["outcome"] == "success")
    assert succeeded == {f"{run_id}/first/0": 1, f"{run_id}/many/0": 1, f"{run_id}/many/1": 1}
    intents = Counter(entry["correlation_id"] for entry in skills.audited(run_id, "intent"))
    assert intents.keys() == succeeded.keys()
    assert workspace.audit.verify().first_bad_line is None


def test_a_run_that_was_killed_while_it_waited_still_waits(skills: Bench, workspace: Workspace, tmp_path: Path) -> None:
    inputs = INPUTS | {"folder": str(tmp_path / "out")}
    killed = drive(workspace, ("skills.run_waiting", 1), pipeline="save", inputs=inputs)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run_id = only_run(skills)
    skills.approve(str(skills.show(run_id).approval_id))
    assert skills.resume(run_id).state == "done"
    assert (tmp_path / "out" / "first.md").read_bytes() == b"hello"


def test_a_killed_run_is_held_by_nobody_and_a_living_one_is(skills: Bench, workspace: Workspace) -> None:
    killed = drive(workspace, ("skills.step_kept", 1), pipeline="save", inputs=INPUTS)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run_id = only_run(skills)
    with skills.lease(run_id) as mine:
        assert mine
        refused = drive(workspace, None, resume=run_id)
    assert "RUN_HELD" in refused.stderr
    assert skills.resume(run_id).state == "done"


def test_the_doctor_s_check_tells_of_a_killed_run(skills: Bench, workspace: Workspace) -> None:
    drive(workspace, ("skills.step_kept", 1), pipeline="save", inputs=INPUTS)
    run_id = only_run(skills)
    [found] = [finding for finding in workspace.plugin_checks() if finding.check == "cloned.skills.runs"]
    assert (found.level, found.repair) == ("warning", f"cloned runs resume {run_id}")
