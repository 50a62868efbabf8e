"""Acceptance C: budgets block above the cap, approvals are append-only and a person's, the audit tells everything but
secrets, and the network is closed by default.
"""

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from cloned.monitor import approvals
from cloned_schemas.errors import PolicyDenied, TrustRefused, UserMistake
from cloned_sdk.host import CallRequest
from cloned_storage.tables import approvals as rows
from tests.conftest import Command, Desk

ECHO, PUBLISH, REACH = "acme.probe.echo@v1", "acme.probe.publish@v1", "acme.probe.reach@v1"
AGENT = "agent:writer"


def publish(text: str, correlation: str = "one", caller: str = AGENT) -> CallRequest:
    return CallRequest(PUBLISH, {"text": text}, correlation, caller)


def test_a_call_within_policy_succeeds_and_is_on_record_before_and_after(probed: Desk) -> None:
    with probed.open() as workspace:
        outcome = workspace.monitor.call(CallRequest(ECHO, {"text": "hello"}, "greeting", AGENT))
        entries = [entry for _, entry in workspace.audit.entries() if entry.get("call_id") == outcome.call_id]
    assert (outcome.outcome, outcome.output) == ("success", {"text": "hello"})
    intent, ended = entries
    assert (intent["kind"], ended["kind"], ended["outcome"]) == ("intent", "outcome", "success")
    for entry in entries:
        assert (entry["tool_id"], entry["tool_version"], entry["actor"]) == (ECHO, "1.0.0", AGENT)
        assert len(entry["input_hash"]) == len(entry["schema_id"]) == len(entry["chain_this_hash"]) == 64
        assert entry["timestamp"].endswith("Z")
    assert intent["policy_decision"]["pack"] == "personal"
    assert len(ended["output_hash"]) == 64


def test_the_sixth_publication_of_a_month_is_blocked(probed: Desk) -> None:
    for number in range(5):
        approve(probed, publish(f"post {number}", f"post-{number}"))
    with probed.open() as workspace:
        workspace.monitor.call(publish("post 5", "post-5"))
    decide_all(probed)
    with probed.open() as workspace:
        outcome = workspace.monitor.call(publish("post 5", "post-5"))
    assert (outcome.outcome, outcome.error_id) == ("blocked", "BUDGET_EXCEEDED")
    spent = next(row for row in probed.ask("budgets.list").budgets if row["category"] == "content_publish")
    assert (spent["used"], spent["reserved"], spent["left"]) == (5, 0, 0)


def test_publishing_waits_for_a_person_and_then_happens_exactly_once(probed: Desk) -> None:
    with probed.open() as workspace:
        asked = workspace.monitor.call(publish("hello"))
        again = workspace.monitor.call(publish("hello"))
    assert (asked.outcome, asked.error_id) == ("approval_required", "APPROVAL_REQUIRED")
    assert again.approval_id == asked.approval_id
    probed.ask("approvals.approve", id=asked.approval_id, reason="fine")
    with probed.open() as workspace:
        done = workspace.monitor.call(publish("hello"))
        repeated = workspace.monitor.call(publish("hello"))
        other = workspace.monitor.call(publish("hello", "two"))
    assert done.outcome == "success"
    assert (repeated.call_id, repeated.replayed) == (done.call_id, True)
    assert other.outcome == "approval_required"
    assert other.approval_id != asked.approval_id


def test_an_approval_covers_one_payload_one_caller_and_one_tool(probed: Desk) -> None:
    with probed.open() as workspace:
        asked = workspace.monitor.call(publish("this"))
    probed.ask("approvals.approve", id=asked.approval_id)
    with probed.open() as workspace:
        assert workspace.monitor.call(publish("that", "two")).outcome == "approval_required"
        assert workspace.monitor.call(publish("this", "one", "agent:other")).outcome == "approval_required"
        assert workspace.monitor.call(publish("this")).outcome == "success"


def test_a_denied_request_stays_denied_and_says_why(probed: Desk) -> None:
    with probed.open() as workspace:
        asked = workspace.monitor.call(publish("hello"))
    probed.ask("approvals.deny", id=asked.approval_id, reason="not today")
    with probed.open() as workspace:
        outcome = workspace.monitor.call(publish("hello"))
    assert (outcome.outcome, outcome.error_id) == ("blocked", "APPROVAL_DENIED")
    assert "not today" in str(outcome.message)
    with pytest.raises(UserMistake, match="APPROVAL_DECIDED"):
        probed.ask("approvals.approve", id=asked.approval_id)


def test_the_record_of_approvals_is_append_only_and_shows_a_change(probed: Desk) -> None:
    with probed.open() as workspace:
        asked = workspace.monitor.call(publish("hello"))
    probed.ask("approvals.deny", id=asked.approval_id)
    with probed.open() as workspace:
        with workspace.database.read() as connection:
            assert approvals.verify(connection) == 2
        with workspace.database.begin() as transaction:
            forged = json.dumps({"reason": "", "uses": 1, "verdict": "approve"})
            transaction.connection.execute(rows.update().where(rows.c.kind == "decision").values(body=forged))
        with workspace.database.read() as connection, pytest.raises(TrustRefused, match="APPROVALS_CHANGED"):
            approvals.verify(connection)


def test_a_process_without_a_terminal_can_approve_nothing(probed: Desk, command: Command) -> None:
    with probed.open() as workspace:
        asked = workspace.monitor.call(publish("hello"))
    here = Command(probed.root, command.env)
    refused = here("approvals", "approve", str(asked.approval_id), "--json", stdin=b"0000\n")
    assert refused.code == 4
    assert json.loads(refused.out)["error"]["id"] == "OPERATOR_REQUIRED"
    wrong = here.at_terminal("approvals", "approve", str(asked.approval_id), typed=b"no")
    assert wrong.code == 4
    assert [row["state"] for row in probed.ask("approvals.list").approvals] == ["pending"]
    assert here.at_terminal("approvals", "approve", str(asked.approval_id)).code == 0
    assert probed.ask("approvals.list").approvals == []


def test_a_host_that_no_policy_lists_is_out_of_reach(probed: Desk) -> None:
    with probed.open() as workspace:
        outcome = workspace.monitor.call(CallRequest(REACH, {}, "out", AGENT))
    assert (outcome.outcome, outcome.error_id) == ("blocked", "EGRESS_DENIED")
    assert "api.example.com" in str(outcome.message)


def test_a_secret_is_in_no_log_no_approval_and_no_database(probed: Desk) -> None:
    secret = "hunter2-" + "correct-horse"
    request = CallRequest(PUBLISH, {"text": "hello", "password": secret}, "secretive", AGENT)
    with probed.open() as workspace:
        asked = workspace.monitor.call(request)
    shown = probed.ask("approvals.show", id=asked.approval_id).approval
    assert shown["payload"]["password"].startswith("[REDACTED:secret")
    probed.ask("approvals.approve", id=asked.approval_id)
    with probed.open() as workspace:
        assert workspace.monitor.call(request).outcome == "success"
    for path in (path for path in probed.places.home.rglob("*") if path.is_file()):
        assert secret.encode() not in path.read_bytes(), path


def test_a_dry_run_shows_everything_and_takes_nothing(probed: Desk) -> None:
    request = CallRequest(PUBLISH, {"text": "hello"}, "dry", AGENT, dry_run=True)
    with probed.open() as workspace:
        outcome = workspace.monitor.call(request)
        with workspace.database.read() as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(rows)).scalar() == 0
        _, last = list(workspace.audit.entries())[-1]
    assert outcome.outcome == "dry_run"
    assert outcome.judgement["costs"] == {"content_publish": 1}
    assert outcome.judgement["approval_rules"]
    assert (last["outcome"], last["dry_run"]) == ("dry_run", True)
    assert all(row["used"] == 0 for row in probed.ask("budgets.list").budgets)


def test_a_correlation_id_means_one_payload_for_one_caller(probed: Desk) -> None:
    with probed.open() as workspace:
        first = workspace.monitor.call(CallRequest(ECHO, {"text": "mine"}, "same", AGENT))
        conflict = workspace.monitor.call(CallRequest(ECHO, {"text": "other"}, "same", AGENT))
        stranger = workspace.monitor.call(CallRequest(ECHO, {"text": "theirs"}, "same", "agent:stranger"))
    assert first.outcome == "success"
    assert (conflict.outcome, conflict.error_id, conflict.output) == ("blocked", "IDEMPOTENCY_CONFLICT", None)
    assert (stranger.output, stranger.replayed) == ({"text": "theirs"}, False)


@pytest.mark.parametrize("damage", ["change", "remove", "insert", "swap"])
def test_a_tampered_audit_is_found_and_the_line_named(probed: Desk, command: Command, damage: str) -> None:
    log: Path = probed.places.audit_log
    lines = log.read_bytes().splitlines(keepends=True)
    hurt = {
        "change": [*lines[:3], lines[3].replace(b"person:ada", b"person:eve"), *lines[4:]],
        "remove": [*lines[:3], *lines[4:]],
        "insert": [*lines[:3], lines[2], *lines[3:]],
        "swap": [*lines[:3], lines[4], lines[3], *lines[5:]],
    }[damage]
    log.write_bytes(b"".join(hurt))
    verdict = Command(probed.root, command.env)("audit", "verify", "--json")
    assert verdict.code == 5
    error = json.loads(verdict.out)["error"]
    assert error["id"] in {"AUDIT_CHANGED", "AUDIT_GAP"}
    assert error["details"]["line"] == 4


def approve(desk: Desk, request: CallRequest) -> None:
    with desk.open() as workspace:
        asked = workspace.monitor.call(request)
    assert asked.outcome == "approval_required", asked
    desk.ask("approvals.approve", id=asked.approval_id)
    with desk.open() as workspace:
        assert workspace.monitor.call(request).outcome == "success"


def decide_all(desk: Desk) -> None:
    for row in desk.ask("approvals.list").approvals:
        desk.ask("approvals.approve", id=row["id"])


def test_an_agent_that_edits_the_workspaces_files_gains_nothing(probed: Desk, command: Command) -> None:
    registry = probed.places.registry
    registry.write_bytes(registry.read_bytes().replace(b"enabled: true", b"enabled: true  # and more"))
    with probed.open() as workspace:
        outcome = workspace.monitor.call(CallRequest(ECHO, {"text": "hello"}, "after", AGENT))
    assert (outcome.outcome, outcome.error_id) == ("blocked", "WORKSPACE_CHANGED")
    refused = Command(probed.root, command.env)("plugin", "sync", "--json")
    assert json.loads(refused.out)["error"]["id"] == "OPERATOR_REQUIRED"
    probed.ask("plugin.sync")
    with probed.open() as workspace:
        assert workspace.monitor.call(CallRequest(ECHO, {"text": "hello"}, "after", AGENT)).outcome == "success"


def test_a_person_who_declines_changes_nothing(probed: Desk) -> None:
    class Nobody:
        def confirm(self, subject: str, facts: object) -> None:
            raise PolicyDenied("OPERATOR_DECLINED", f"{subject}: {facts}")

    before = {path.name: path.read_bytes() for path in probed.places.home.glob("*.yaml")}
    agreeing, probed.person = probed.person, Nobody()  # type: ignore[assignment]
    with pytest.raises(PolicyDenied):
        probed.ask("plugin.disable", id="cloned-research")
    assert {path.name: path.read_bytes() for path in probed.places.home.glob("*.yaml")} == before
    probed.person = agreeing
