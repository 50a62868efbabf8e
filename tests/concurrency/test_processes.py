"""Several processes and threads in one workspace: one chain, one effect, one last unit, one set of rules."""

import json
from collections import Counter
from pathlib import Path

import sqlalchemy as sa

from cloned.monitor import approvals
from cloned.workspace import Workspace
from cloned_storage.clock import SystemClock, timestamp
from cloned_storage.tables import budget_windows
from cloned_storage.tables import calls as rows
from tests.concurrency.conftest import Spawn
from tests.concurrency.driver import APPEND, OFFER, at_once, line
from tests.conftest import Desk, Dist


def lines(file: Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0


def overlay(desk: Desk, text: str) -> None:
    """What a person writes into the overlay, and accepts."""
    desk.places.policy.joinpath("personal.yaml").write_text("pack_id: personal\n" + text)
    desk.ask("policy.apply")


def window(workspace: Workspace, category: str) -> tuple[int, int]:
    """Units used and reserved."""
    with workspace.database.read() as connection:
        found = connection.execute(sa.select(budget_windows).where(budget_windows.c.category == category)).one()
    return found.used, found.reserved


def kinds(workspace: Workspace) -> Counter[str]:
    """How many entries of each kind an unbroken audit has."""
    assert workspace.audit.verify().intact
    return Counter(str(entry["kind"]) for _, entry in workspace.audit.entries())


def test_two_processes_call_and_decide_at_once_on_one_chain_each(probed: Desk, spawn: Spawn, tmp_path: Path) -> None:
    with probed.open() as workspace:
        asked = [workspace.monitor.call(line(OFFER, tmp_path / "shop", f"offer {n}")).approval_id for n in range(10)]
        before = kinds(workspace)
        working = [spawn("calls", tmp_path / f"ledger {n}", 15) for n in range(2)]
        deciding = [spawn("decide") for _ in range(2)]
        for other in (*working, *deciding):
            other.say()
        assert [other.end() for other in working] == [["success"] * 15] * 2
        told = [other.end() for other in deciding]
        ended = [sorted(answers[request] for answers in told if request in answers) for request in asked]
        assert all(answers in (["decided"], ["APPROVAL_DECIDED", "decided"]) for answers in ended)
        with workspace.database.read() as connection:
            assert approvals.verify(connection) == 20
            every = approvals.listed(connection, workspace.clock.now(), pending_only=False)
        assert {(one.state, len(one.decisions)) for one in every} == {("approved", 1)}
        grown = kinds(workspace) - before
    assert (grown["intent"], grown["outcome"], grown["decision"]) == (30, 30, 10)


def test_of_fifty_callers_in_three_processes_one_gets_the_last_unit(probed: Desk, spawn: Spawn, tmp_path: Path) -> None:
    overlay(probed, "budgets: {storage: {period: month, cap: 1}}\n")
    file = tmp_path / "ledger"
    others = [spawn("spend", file, 17, name) for name in ("b", "c")]
    with probed.open() as workspace:
        for other in others:
            other.say()
        own = at_once(16, lambda n: workspace.monitor.call(line(APPEND, file, f"a-{n}")))
        ended = [(one.outcome, one.error_id) for one in own]
        ended += [tuple(answer) for other in others for answer in other.end()]
        assert Counter(ended) == {("success", None): 1, ("blocked", "BUDGET_EXCEEDED"): 49}
        assert window(workspace, "storage") == (1, 0)
    assert lines(file) == 1


def test_one_correlation_id_from_sixteen_threads_has_one_effect(probed: Desk, tmp_path: Path) -> None:
    with probed.open() as workspace:
        ended = at_once(16, lambda _: workspace.monitor.call(line(APPEND, tmp_path / "ledger", "the one")))
        again = workspace.monitor.call(line(APPEND, tmp_path / "ledger", "the one"))
        assert window(workspace, "storage") == (1, 0)
    assert lines(tmp_path / "ledger") == 1
    told = Counter((one.outcome, one.error_id, one.replayed) for one in ended)
    assert told[("success", None, False)] == 1
    assert told.keys() <= {("success", None, False), ("success", None, True), ("failure", "CALL_IN_FLIGHT", False)}
    assert (again.outcome, again.replayed, again.output) == ("success", True, {"lines": 1})


def test_one_approval_wanted_by_sixteen_callers_is_spent_once(probed: Desk, tmp_path: Path) -> None:
    file = tmp_path / "shop"
    with probed.open() as workspace:
        asked = workspace.monitor.call(line(OFFER, file, "first", text="an offer"))
        probed.ask("approvals.approve", id=asked.approval_id)
        ended = at_once(16, lambda n: workspace.monitor.call(line(OFFER, file, f"call {n}", text="an offer")))
        assert Counter(one.outcome for one in ended) == {"success": 1, "approval_required": 15}
        assert len({one.approval_id for one in ended if one.approval_id}) == 1
        with workspace.database.read() as connection:
            approvals.verify(connection)
    assert lines(file) == 1


def test_no_call_of_another_process_is_authorized_by_rules_that_a_person_has_replaced(
    probed: Desk, spawn: Spawn, tmp_path: Path
) -> None:
    other = spawn("until", tmp_path / "ledger")
    other.say()
    assert other.hear() == "under way"
    overlay(probed, "denylists: {tools: [acme.ledger.*]}\n")
    accepted = timestamp(SystemClock().now())
    told = other.end()
    assert set(told) == {"success", "blocked"}
    with probed.open() as workspace, workspace.database.read() as connection:
        policy = workspace.authority.read_policy()
        late = connection.execute(sa.select(rows).where(rows.c.created_at > accepted)).all()
        digests = {json.loads(row.judgement)["policy"] for row in connection.execute(sa.select(rows))}
    assert late == []
    assert policy is not None
    assert policy.digest not in digests


def test_another_process_goes_on_while_plugins_are_removed_and_installed(
    probed: Desk, probes: Dist, spawn: Spawn, tmp_path: Path
) -> None:
    other = spawn("until", tmp_path / "ledger")
    other.say()
    assert other.hear() == "under way"

    for _ in range(2):
        probed.ask("plugin.remove", id="acme-probe")
        probed.ask("plugin.install", **{"id": "acme-probe", "from": str(probes.folder), "enable": True})
    other.say()
    assert set(other.end()) == {"success"}
    assert probed.ask("doctor.run").problems == 0
