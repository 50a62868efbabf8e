"""kill -9 at every step of a governed call: the chain verifies, no effect happens twice, none without its intent on
record, budgets and approvals are right, and the caller can go on.
"""

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cloned_sdk.host import CallOutcome
from tests.conftest import Desk, environment
from tests.crash.call_driver import request

APPEND, SET, OFFER = "acme.ledger.append@v1", "acme.ledger.set@v1", "acme.ledger.offer@v1"
# The first turn at the audit only learns where the chain ends; the second writes the intent, the third the outcome.
BEFORE_INTENT = [("call.judged", 1), ("audit.written", 1), ("call.authorized", 1), ("audit.locked", 2)]
AFTER_INTENT = [("audit.written", 2), ("audit.synced", 2), ("call.intent", 1), ("effect.before", 1)]
AFTER_EFFECT = [("effect.after", 1), ("call.dispatched", 1)]
AFTER_SETTLING = [("call.settled", 1), ("audit.written", 3), ("audit.synced", 3), ("call.outcome", 1)]
EVERYWHERE = [*BEFORE_INTENT, *AFTER_INTENT, *AFTER_EFFECT, *AFTER_SETTLING]


def killed_at(desk: Desk, home: Path, step: str, nth: int, tool_id: str, file: Path) -> None:
    driver = [sys.executable, "-m", "tests.crash.call_driver", str(desk.root), step, str(nth), tool_id, str(file)]
    done = subprocess.run(driver, env=environment(home), capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def lines(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0


def call_again(desk: Desk, tool_id: str, file: Path) -> CallOutcome:
    with desk.open() as workspace:
        return workspace.monitor.call(request(tool_id, str(file)))


def records(desk: Desk) -> list[dict[str, Any]]:
    """Audit entries of governed calls, from a log that verifies."""
    assert desk.ask("audit.verify").entries > 0
    with desk.open() as workspace:
        return [entry for _, entry in workspace.audit.entries() if entry["kind"] in {"intent", "outcome"}]


def budget(desk: Desk, category: str) -> Mapping[str, Any]:
    found = [row for row in desk.ask("budgets.list").budgets if row["category"] == category]
    return found[0] if found else {"used": 0, "reserved": 0}


@pytest.mark.parametrize(("step", "nth"), EVERYWHERE)
def test_no_effect_without_its_intent_and_none_twice(
    probed: Desk, home: Path, tmp_path: Path, step: str, nth: int
) -> None:
    file = tmp_path / "ledger.txt"
    killed_at(probed, home, step, nth, APPEND, file)
    happened = lines(file)
    told = records(probed)
    assert happened <= sum(entry["kind"] == "intent" for entry in told)
    again = call_again(probed, APPEND, file)
    assert lines(file) == max(happened, again.outcome == "success")
    assert lines(file) <= 1
    for call_id in {entry["call_id"] for entry in records(probed)}:
        assert sum(entry["kind"] == "outcome" for entry in told if entry["call_id"] == call_id) <= 1


@pytest.mark.parametrize(("step", "nth"), BEFORE_INTENT)
def test_before_the_intent_nothing_happened_and_everything_is_given_back(
    probed: Desk, home: Path, tmp_path: Path, step: str, nth: int
) -> None:
    file = tmp_path / "ledger.txt"
    killed_at(probed, home, step, nth, APPEND, file)
    assert records(probed) == []
    assert (budget(probed, "storage")["used"], budget(probed, "storage")["reserved"]) == (0, 0)
    assert call_again(probed, APPEND, file).outcome == "success"
    assert (lines(file), budget(probed, "storage")["used"]) == (1, 1)


@pytest.mark.parametrize(("step", "nth"), [*AFTER_INTENT, *AFTER_EFFECT])
def test_between_intent_and_outcome_the_call_is_ambiguous_and_stays_counted(
    probed: Desk, home: Path, tmp_path: Path, step: str, nth: int
) -> None:
    file = tmp_path / "ledger.txt"
    killed_at(probed, home, step, nth, APPEND, file)
    happened = lines(file)
    again = call_again(probed, APPEND, file)
    assert (again.outcome, again.error_id, again.replayed) == ("ambiguous", "CALL_AMBIGUOUS", True)
    assert lines(file) == happened
    intent, outcome = records(probed)
    assert (intent["kind"], outcome["outcome"], outcome["details"]["recovered"]) == ("intent", "ambiguous", True)
    assert (budget(probed, "storage")["used"], budget(probed, "storage")["reserved"]) == (1, 0)


@pytest.mark.parametrize(("step", "nth"), AFTER_SETTLING)
def test_after_settling_the_outcome_is_kept_and_told_once(
    probed: Desk, home: Path, tmp_path: Path, step: str, nth: int
) -> None:
    file = tmp_path / "ledger.txt"
    killed_at(probed, home, step, nth, APPEND, file)
    again = call_again(probed, APPEND, file)
    assert (again.outcome, again.output, again.replayed) == ("success", {"lines": 1}, True)
    intent, outcome = records(probed)
    assert (intent["call_id"], outcome["outcome"]) == (outcome["call_id"], "success")
    assert (lines(file), budget(probed, "storage")["used"], budget(probed, "storage")["reserved"]) == (1, 1, 0)


@pytest.mark.parametrize(("step", "nth"), EVERYWHERE)
def test_an_idempotent_tool_is_simply_asked_again(
    probed: Desk, home: Path, tmp_path: Path, step: str, nth: int
) -> None:
    file = tmp_path / "ledger.txt"
    killed_at(probed, home, step, nth, SET, file)
    assert call_again(probed, SET, file).outcome == "success"
    assert lines(file) == 1


@pytest.mark.parametrize(("step", "nth"), [*BEFORE_INTENT, ("call.intent", 1), ("effect.after", 1)])
def test_an_approval_is_spent_only_by_a_call_that_may_have_happened(
    probed: Desk, home: Path, tmp_path: Path, step: str, nth: int
) -> None:
    file = tmp_path / "ledger.txt"
    asked = call_again(probed, OFFER, file)
    probed.ask("approvals.approve", id=asked.approval_id)
    killed_at(probed, home, step, nth, OFFER, file)
    again = call_again(probed, OFFER, file)
    [approval] = probed.ask("approvals.list", all=True).approvals
    assert approval["state"] == "used"
    assert again.outcome == ("success" if (step, nth) in BEFORE_INTENT else "ambiguous")
    assert probed.ask("doctor.run").problems == 0
