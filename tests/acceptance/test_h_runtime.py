"""Acceptance H: enabled plugins offer tools with schemas; policy and constitution narrow what may be called."""

import pytest

from cloned.monitor import artifacts
from cloned_schemas.errors import UserMistake
from cloned_sdk.host import CallRequest, Constitution
from tests.conftest import Desk

ECHO, MISBEHAVE = "acme.probe.echo@v1", "acme.probe.misbehave@v1"
AGENT = "agent:ada"


def echo(constitution: Constitution | None = None, correlation: str = "one") -> CallRequest:
    return CallRequest(ECHO, {"text": "hello"}, correlation, AGENT, constitution=constitution)


def overlay(desk: Desk, text: str) -> None:
    """What a person writes into the overlay, and accepts."""
    desk.places.policy.joinpath("personal.yaml").write_text("pack_id: personal\n" + text)
    desk.ask("policy.apply")


def test_each_offered_tool_has_the_schemas_that_its_manifest_pins(probed: Desk) -> None:
    with probed.open() as workspace:
        offers = workspace.authority.current().offers
        for tool_id, offered in offers.items():
            told = workspace.monitor.describe(tool_id)
            assert told.input_schema["type"] == told.output_schema["type"] == "object"
            assert offered.tool.id == told.id
    listed = {tool for row in probed.ask("plugin.list").plugins for tool in row.get("tools", [])}
    assert listed | {artifacts.SAVE.id} == set(offers)


def test_inputs_that_do_not_fit_the_schema_never_reach_the_tool(probed: Desk) -> None:
    with probed.open() as workspace:
        missing = workspace.monitor.call(CallRequest(ECHO, {}, "one", AGENT))
        unknown = workspace.monitor.call(CallRequest(ECHO, {"text": "x", "more": 1}, "two", AGENT))
        kinds = [
            entry["kind"] for _, entry in workspace.audit.entries() if entry.get("correlation_id") in {"one", "two"}
        ]
    assert (missing.error_id, unknown.error_id) == ("INPUT_INVALID", "INPUT_INVALID")
    assert kinds == ["outcome", "outcome"]


def test_an_output_off_the_schema_is_the_plugins_fault(probed: Desk) -> None:
    with probed.open() as workspace:
        outcome = workspace.monitor.call(CallRequest(MISBEHAVE, {"how": "off-schema"}, "one", AGENT))
    assert (outcome.outcome, outcome.error_id, outcome.output) == ("failure", "OUTPUT_INVALID", None)


def test_a_disabled_plugins_tools_are_gone(probed: Desk) -> None:
    probed.ask("plugin.disable", id="acme-probe")
    with probed.open() as workspace:
        outcome = workspace.monitor.call(echo())
    assert (outcome.outcome, outcome.error_id) == ("blocked", "PLUGIN_DISABLED")
    probed.ask("plugin.enable", id="acme-probe")
    with probed.open() as workspace:
        assert workspace.monitor.call(echo()).outcome == "success"


def test_another_version_or_an_unknown_tool_is_told_apart(probed: Desk) -> None:
    with probed.open() as workspace:
        other = workspace.monitor.call(CallRequest("acme.probe.echo@v2", {"text": "x"}, "one", AGENT))
        none = workspace.monitor.call(CallRequest("acme.probe.sing@v1", {}, "two", AGENT))
    assert (other.error_id, none.error_id) == ("TOOL_VERSION", "TOOL_UNKNOWN")
    assert ECHO in str(other.message)


def test_policys_allowlist_of_tools_is_enforced(probed: Desk) -> None:
    overlay(probed, "allowlists:\n  tools: [cloned.documents.*]\n")
    with probed.open() as workspace:
        assert workspace.monitor.call(echo()).error_id == "POLICY_NOT_ALLOWED"
    overlay(probed, "allowlists:\n  tools: [cloned.documents.*, acme.probe.echo@v1]\n")
    with probed.open() as workspace:
        assert workspace.monitor.call(echo()).outcome == "success"


def test_policys_denylist_wins_over_its_allowlist(probed: Desk) -> None:
    overlay(probed, "allowlists:\n  tools: [acme.probe.*]\ndenylists:\n  tools: [acme.probe.echo@v1]\n")
    with probed.open() as workspace:
        assert workspace.monitor.call(echo()).error_id == "POLICY_TOOL_DENIED"


def test_policys_allowlist_of_publishers_is_enforced(probed: Desk) -> None:
    overlay(probed, "allowlists:\n  publishers: [cloned]\n")
    with probed.open() as workspace:
        assert workspace.monitor.call(echo()).error_id == "POLICY_NOT_ALLOWED"


def test_an_overlay_that_nobody_accepted_is_not_in_force(probed: Desk) -> None:
    probed.places.policy.joinpath("personal.yaml").write_text(
        "pack_id: personal\nallowlists: {egress_domains: [api.example.com]}\n"
    )
    with probed.open() as workspace:
        assert workspace.monitor.call(echo()).error_id == "WORKSPACE_CHANGED"


def test_an_egress_rule_that_is_too_wide_cannot_be_applied(probed: Desk) -> None:
    for rule in ('"*"', '"*.com"', '"*.co.uk"', "'a*.example.com'"):
        with pytest.raises(UserMistake, match=r"EGRESS_RULE|FILE_INVALID"):
            overlay(probed, f"allowlists: {{egress_domains: [{rule}]}}\n")


def test_the_constitution_of_a_run_narrows_what_policy_allows(probed: Desk) -> None:
    narrow = Constitution(allowed_tools=("cloned.documents.*",))
    denying = Constitution(allowed_tools=("acme.*",), denied_tools=("acme.probe.*",))
    fitting = Constitution(allowed_tools=("acme.probe.*",))
    with probed.open() as workspace:
        assert workspace.monitor.call(echo(narrow)).error_id == "CONSTITUTION_DENIED"
        assert workspace.monitor.call(echo(denying, "two")).error_id == "CONSTITUTION_DENIED"
        assert workspace.monitor.call(echo(fitting, "three")).outcome == "success"


def test_a_gate_of_the_constitution_asks_a_person_whatever_policy_says(probed: Desk) -> None:
    gated = Constitution(allowed_tools=("acme.*",), gates=("acme.probe.echo@v1",))
    with probed.open() as workspace:
        assert workspace.monitor.call(echo(gated)).outcome == "approval_required"
