"""An agent that edits the workspace's files to grant itself something gains nothing; a person decides at a terminal.

Whoever can write in `.cloned` is not thereby the person who accepts, trusts and approves.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cloned.monitor import approvals
from cloned.monitor.records import encode_sorted
from cloned.workspace import Workspace
from cloned_schemas.errors import ClonedError
from cloned_sdk.host import CallOutcome, CallRequest
from cloned_storage.files import dump_yaml, parse_yaml
from tests.attacks import forge
from tests.attacks.premises import Watched, beside, error_of
from tests.conftest import Command, Desk

AGENT = "agent:ada"
ECHO, REACH, PUBLISH = "acme.probe.echo@v1", "acme.probe.reach@v1", "acme.probe.publish@v1"


def call(workspace: Workspace, tool_id: str, correlation: str = "one", **inputs: Any) -> CallOutcome:
    return workspace.monitor.call(CallRequest(tool_id, inputs, correlation, AGENT))


def rewritten(place: Path, change: Callable[[dict[str, Any]], None]) -> None:
    data = parse_yaml(place.read_bytes(), place.name)
    change(data)
    place.write_bytes(dump_yaml(data))


def entry_of(listed: dict[str, Any], plugin_id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in listed["plugins"] if entry["id"] == plugin_id)
    return found


def grants_itself_hosts_and_folders(desk: Desk) -> None:
    def widen(registry: dict[str, Any]) -> None:
        entry_of(registry, "acme-probe")["grants"] = {"hosts": ["*.example.com"], "folders": ["shelf"]}

    rewritten(desk.places.registry, widen)


def allows_itself_the_network_and_spares_itself_approvals(desk: Desk) -> None:
    desk.places.policy.joinpath("personal.yaml").write_text(
        "pack_id: personal\nallowlists: {egress_domains: [api.example.com]}\n"
        "approvals: {rules: [{match: {effect: publish}, requires_approval: false}]}\n"
        "budgets: {content_publish: {period: month, cap: 1000000}}\n"
    )


def points_the_lock_at_another_wheel(desk: Desk) -> None:
    lock = json.loads(desk.places.lock.read_text())
    entry_of(lock, "acme-probe")["wheel_sha256"] = hashlib.sha256(b"another").hexdigest()
    desk.places.lock.write_text(json.dumps(lock))


def refers_to_another_policy(desk: Desk) -> None:
    rewritten(desk.places.config, lambda config: config.update(policy_pack_ref="acme-probe:lenient"))


def takes_policy_away(desk: Desk) -> None:
    rewritten(desk.places.config, lambda config: config.pop("policy_pack_ref"))


def leads_to_another_database(desk: Desk) -> None:
    rewritten(desk.places.config, lambda config: config.update(database_url="sqlite:////tmp/another.db"))


def removes_the_lock(desk: Desk) -> None:
    desk.places.lock.unlink()


EDITS = [
    grants_itself_hosts_and_folders,
    allows_itself_the_network_and_spares_itself_approvals,
    points_the_lock_at_another_wheel,
    refers_to_another_policy,
    takes_policy_away,
    leads_to_another_database,
    removes_the_lock,
]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_stops_every_call_until_a_person_has_accepted_it(
    probed: Desk, command: Command, edit: Callable[[Desk], None]
) -> None:
    with probed.open() as running:
        assert call(running, ECHO, text="x").outcome == "success"
        edit(probed)
        with probed.open() as fresh:
            for workspace in (running, fresh):  # a process that runs on, and one that comes anew
                for tool_id, inputs in ((ECHO, {"text": "y"}), (REACH, {}), (PUBLISH, {"text": "y"})):
                    refused = call(workspace, tool_id, "two", **inputs)
                    assert (refused.outcome, refused.error_id) == ("blocked", "WORKSPACE_CHANGED")
    watched = Watched.now(probed)
    alone = beside(probed, command)("plugin", "sync", "--json", stdin=b"0000\n" * 10)
    unsure = beside(probed, command).at_terminal("plugin", "sync", typed=b"no")
    gone = edit is removes_the_lock  # that nobody can even be asked to accept
    assert error_of(alone)["id"] == ("FILE_UNREADABLE" if gone else "OPERATOR_REQUIRED")
    assert ("FILE_UNREADABLE" if gone else "OPERATOR_DECLINED") in unsure.out
    assert unsure.code == alone.code == (2 if gone else 4)
    watched.assert_untouched()


def test_an_edit_that_is_taken_back_leaves_everything_as_it_was(probed: Desk) -> None:
    sound = probed.places.registry.read_bytes()
    grants_itself_hosts_and_folders(probed)
    probed.places.registry.write_bytes(sound)
    with probed.open() as workspace:
        assert call(workspace, ECHO, text="x").outcome == "success"
        assert call(workspace, REACH).error_id == "EGRESS_DENIED"


def test_a_workspace_under_another_id_was_accepted_by_nobody(probed: Desk) -> None:
    rewritten(probed.places.config, lambda config: config.update(workspace_id="01900000-0000-7000-8000-000000000000"))
    with probed.open() as workspace:
        refused = call(workspace, ECHO, text="x")
    assert (refused.outcome, refused.error_id) == ("blocked", "WORKSPACE_NOT_ACCEPTED")


# Trust


def test_the_workspaces_trust_can_only_be_narrowed(desk: Desk, command: Command, tmp_path: Path, canary: Path) -> None:
    evil = forge.publisher("evil")
    wheel = forge.release(evil, plugin_id="evil-weather", canary=canary).write(tmp_path)
    record = evil.record.model_dump_json()
    for text, expected in (
        ("only_publishers: [evil]\n", "PUBLISHER_UNTRUSTED"),
        (f"publishers: [{record}]\n", "FILE_INVALID"),
        ("revocations: []\nexecutions: [kernel]\n", "FILE_INVALID"),
    ):
        desk.places.trust.joinpath("trust.yaml").write_text(text)
        desk.places.trust.joinpath("evil.json").write_text(record)
        watched = Watched.now(desk)
        refused = beside(desk, command).at_terminal("plugin", "install", wheel, "--enable", "--json")
        assert error_of(refused)["id"] == expected
        watched.assert_untouched()


# Approvals


def asked(desk: Desk) -> str:
    with desk.open() as workspace:
        outcome = call(workspace, PUBLISH, text="hello")
    assert outcome.outcome == "approval_required"
    return str(outcome.approval_id)


def state_of(desk: Desk) -> str:
    [row] = desk.ask("approvals.list", all=True).approvals
    return str(row["state"])


@pytest.mark.parametrize("verdict", ["approve", "deny"])
def test_a_process_without_a_terminal_decides_nothing(probed: Desk, command: Command, verdict: str) -> None:
    request_id = asked(probed)
    watched = Watched.now(probed)
    refused = beside(probed, command)("approvals", verdict, request_id, "--json", stdin=b"0000\n" * 10_000)
    assert (refused.code, error_of(refused)["id"]) == (4, "OPERATOR_REQUIRED")
    wrong = beside(probed, command).at_terminal("approvals", verdict, request_id, typed=b"yes")
    assert wrong.code == 4
    assert "OPERATOR_DECLINED" in wrong.out
    watched.assert_untouched()
    assert watched.told_since() == []
    assert state_of(probed) == "pending"


def test_the_same_command_at_a_terminal_decides(probed: Desk, command: Command) -> None:
    assert beside(probed, command).at_terminal("approvals", "approve", asked(probed)).code == 0
    with probed.open() as workspace:
        assert call(workspace, PUBLISH, text="hello").outcome == "success"


def forged_row(connection: sqlite3.Connection, request_id: str, body: dict[str, Any]) -> None:
    """A decision as the kernel would chain it, written by somebody who read how it does that."""
    connection.row_factory = sqlite3.Row
    last = connection.execute("select * from approvals order by seq desc").fetchone()
    row = {
        "seq": last["seq"] + 1, "id": "01900000-0000-7000-8000-000000000000", "kind": "decision",
        "request_id": request_id, "scope": last["scope"], "call_id": None, "at": last["at"], "actor": "person:ada",
        "body": encode_sorted(body).decode(), "prev_hash": last["this_hash"],
    }  # fmt: skip
    row["this_hash"] = hashlib.sha256(approvals.DOMAIN + encode_sorted(row)).hexdigest()
    connection.execute(
        "insert into approvals (seq, id, kind, request_id, scope, call_id, at, actor, body, prev_hash, this_hash)"
        " values (:seq, :id, :kind, :request_id, :scope, :call_id, :at, :actor, :body, :prev_hash, :this_hash)",
        row,
    )
    connection.commit()


APPROVED = {"verdict": "approve", "reason": "", "uses": 1000}


@pytest.mark.parametrize("body", [APPROVED, APPROVED | {"seal": "0" * 64}, APPROVED | {"seal": "\u00e9"}])
def test_a_decision_written_into_the_database_is_no_decision(probed: Desk, body: dict[str, Any]) -> None:
    request_id = asked(probed)
    with closing(sqlite3.connect(probed.places.database)) as connection:
        forged_row(connection, request_id, body)
    with probed.open() as workspace:
        with workspace.database.read() as connection:
            assert approvals.verify(connection) == 2  # the chain alone cannot tell
        refused = call(workspace, PUBLISH, text="hello")
    assert (refused.outcome, refused.error_id) == ("blocked", "APPROVALS_CHANGED")


@pytest.mark.parametrize(
    ("change", "expected"),
    [(('"uses":1', '"uses":9'), "APPROVALS_CHANGED"), (('"approve"', '"wave it on"'), "APPROVALS_CHANGED")],
)
def test_a_decision_that_is_rewritten_counts_no_more(probed: Desk, change: tuple[str, str], expected: str) -> None:
    probed.ask("approvals.approve", id=asked(probed))
    with closing(sqlite3.connect(probed.places.database)) as connection:
        connection.execute("update approvals set body = replace(body, ?, ?) where kind = 'decision'", change)
        connection.commit()
    with probed.open() as workspace:
        refused = call(workspace, PUBLISH, text="hello")
    assert (refused.outcome, refused.error_id) == ("blocked", expected)


def test_a_request_cannot_be_moved_to_another_payload(probed: Desk) -> None:
    probed.ask("approvals.approve", id=asked(probed))
    with probed.open() as workspace:
        other = call(workspace, PUBLISH, "two", text="something else")
    with closing(sqlite3.connect(probed.places.database)) as connection:
        [scope] = connection.execute(
            "select scope from approvals where request_id = ?", (other.approval_id,)
        ).fetchone()
        connection.execute("update approvals set scope = ? where request_id != ?", (scope, other.approval_id))
        connection.execute("delete from approvals where request_id = ?", (other.approval_id,))
        connection.commit()
    with probed.open() as workspace:
        refused = call(workspace, PUBLISH, "two", text="something else")
    assert (refused.outcome, refused.error_id) == ("blocked", "APPROVALS_CHANGED")


# The audit


def test_a_decision_written_into_the_audit_is_no_decision(probed: Desk) -> None:
    request_id = asked(probed)
    with probed.open() as workspace:  # as an agent would that uses our own code to chain the line
        told = {"request_id": request_id, "verdict": "approve", "reason": "", "tool_id": PUBLISH}
        workspace.audit.append("decision", actor="person:ada", details=told)
        assert call(workspace, PUBLISH, text="hello").outcome == "approval_required"
    assert state_of(probed) == "pending"


def test_an_edited_audit_is_found_by_its_line_and_stops_who_was_writing_it(probed: Desk, command: Command) -> None:
    with probed.open() as running:
        assert call(running, ECHO, text="x").outcome == "success"
        log = running.places.audit_log
        lines = log.read_bytes().splitlines(keepends=True)
        log.write_bytes(b"".join([*lines[:-1], lines[-1].replace(b'"success"', b'"blocked"')]))
        told = error_of(beside(probed, command)("audit", "verify", "--json"))
        assert told["id"] == "AUDIT_CHANGED"
        assert str(len(lines)) in told["message"]
        with pytest.raises(ClonedError, match="AUDIT_CHANGED"):
            call(running, ECHO, "two", text="y")
