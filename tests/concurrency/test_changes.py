"""What people change between judging and dispatch: the call goes by the new decision, or not at all."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cloned.monitor import approvals
from tests.concurrency.conftest import AtStep
from tests.concurrency.driver import APPEND, OFFER, line
from tests.conftest import REPOSITORY, Desk, Dist, environment, sign_into

Change = Callable[[Desk, Dist], object]


def deny(desk: Desk, _: Dist) -> None:
    text = "pack_id: personal\ndenylists: {tools: [acme.ledger.*]}\n"
    desk.places.policy.joinpath("personal.yaml").write_text(text)
    desk.ask("policy.apply")


def disable(desk: Desk, _: Dist) -> None:
    desk.ask("plugin.disable", id="acme-ledger")


def revoke_key(desk: Desk, probes: Dist) -> None:
    record = json.loads(probes.publisher.read_text())
    desk.ask("trust.revoke", scope="key", id=record["keys"][0]["keyid"])


def distrust(desk: Desk, _: Dist) -> None:
    desk.ask("trust.remove", id="acme")


def narrow(desk: Desk, _: Dist) -> None:
    (desk.places.trust / "trust.yaml").write_text("only_publishers: [cloned]\n")


CHANGES = [
    (deny, "POLICY_TOOL_DENIED"), (disable, "PLUGIN_DISABLED"), (revoke_key, "KEY_REVOKED"),
    (distrust, "PUBLISHER_UNTRUSTED"), (narrow, "PUBLISHER_UNTRUSTED"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error_id"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
def test_a_call_that_was_judged_already_goes_by_the_new_decision(
    probed: Desk, probes: Dist, at_step: AtStep, tmp_path: Path, change: Change, error_id: str
) -> None:
    with probed.open() as workspace:
        at_step("call.judged", lambda: change(probed, probes))
        outcome = workspace.monitor.call(line(APPEND, tmp_path / "ledger", "one"))
    assert (outcome.outcome, outcome.error_id) == ("blocked", error_id)
    assert not (tmp_path / "ledger").exists()


def test_a_plugin_disabled_after_the_authorization_does_nothing_and_costs_nothing(
    probed: Desk, at_step: AtStep, tmp_path: Path
) -> None:
    with probed.open() as workspace:

        def disabled() -> None:
            probed.ask("plugin.disable", id="acme-ledger")
            workspace.verdicts()  # another thread's call would make the same new reading

        at_step("call.authorized", disabled)
        outcome = workspace.monitor.call(line(APPEND, tmp_path / "ledger", "one"))
    assert (outcome.error_id, outcome.costs) == ("PLUGIN_DISABLED", {})
    assert not (tmp_path / "ledger").exists()


@pytest.fixture
def upgrade(probes: Dist, tmp_path: Path) -> Dist:
    """The ledger's next release, which writes another line than it is asked to."""
    source = tmp_path / "acme-ledger"
    shutil.copytree(REPOSITORY / "tests" / "plugins" / "acme-ledger", source)
    for file, old, new in (
        ("pyproject.toml", 'version = "1.0.0"', 'version = "1.1.0"'),
        ("src/acme_ledger/plugin.py", 'inputs["line"] + "\\n"', '"something else\\n"'),
    ):
        place = source / file
        assert old in place.read_text()
        place.write_text(place.read_text().replace(old, new))
    return sign_into(Dist(tmp_path / "next", probes.publisher, probes.key), [source])


def test_an_approved_call_never_runs_the_code_of_another_release(
    probed: Desk, upgrade: Dist, home: Path, at_step: AtStep, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.concurrency.driver", str(probed.root), "install", str(upgrade.folder)]
    with probed.open() as workspace:

        def upgraded() -> None:
            subprocess.run([*command, "acme-ledger"], env=environment(home), check=True, capture_output=True)
            workspace.verdicts()

        asked = workspace.monitor.call(line(OFFER, tmp_path / "shop", "one"))
        probed.ask("approvals.approve", id=asked.approval_id)
        at_step("call.authorized", upgraded)
        outcome = workspace.monitor.call(line(OFFER, tmp_path / "shop", "one"))
        assert {found.version for found in workspace.verdicts() if found.plugin_id == "acme-ledger"} == {"1.1.0"}
    assert (outcome.outcome, outcome.error_id, outcome.costs) == ("failure", "WORKSPACE_MOVED", {})
    assert not (tmp_path / "shop").exists()


def test_what_one_person_decided_no_other_decides_again(probed: Desk, tmp_path: Path) -> None:
    with probed.open() as workspace:
        asked = workspace.monitor.call(line(OFFER, tmp_path / "shop", "one"))
        probed.ask("approvals.deny", id=asked.approval_id, reason="not now")
        with pytest.raises(Exception, match="APPROVAL_DECIDED"):
            workspace.decide(str(asked.approval_id), "person:bob", "approve", "")
        with workspace.database.read() as connection:
            found = approvals.get(connection, str(asked.approval_id), workspace.clock.now())
        assert (found.state, len(found.decisions)) == ("denied", 1)
        assert workspace.monitor.call(line(OFFER, tmp_path / "shop", "one")).error_id == "APPROVAL_DENIED"
