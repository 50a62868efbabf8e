"""Every call ends in one record, whatever a plugin does and whatever happens to the audit; no secret is in it."""

from pathlib import Path

import pytest

from cloned.monitor import policy
from cloned.monitor.call import outcome_fields
from cloned.monitor.policy import Policy
from cloned.monitor.records import Result
from cloned_schemas.errors import ClonedError, PolicyDenied
from cloned_schemas.policy import PolicyPack
from cloned_schemas.tool import Tool
from cloned_sdk.host import CallRequest
from tests.concurrency.conftest import AtStep, at_step
from tests.conftest import Desk

__all__ = ["at_step"]
APPEND, MISBEHAVE = "acme.ledger.append@v1", "acme.probe.misbehave@v1"


def test_a_flood_of_findings_still_fits_into_the_record_of_the_call(desk: Desk) -> None:
    place = "/" + "/".join(["k" * 100] * 20)
    flood = Result("success", {}, flags=tuple(("override", f"{place}:{n}") for n in range(30_000)))
    with desk.open() as workspace:
        workspace.audit.append("outcome", actor="agent:ada", **outcome_fields(flood, by_kernel=False))
        [*_, (_, entry)] = workspace.audit.entries()
    assert (len(entry["details"]["flags"]), entry["details"]["flags_found"]) == (100, 30_000)


def test_an_outcome_that_could_not_be_told_is_told_by_the_next_process(
    probed: Desk, at_step: AtStep, tmp_path: Path
) -> None:
    log, away = probed.places.audit_log, tmp_path / "away"
    with probed.open() as workspace:
        at_step("call.settled", lambda: log.rename(away))
        inputs = {"file": str(tmp_path / "ledger"), "line": "one"}
        with pytest.raises(ClonedError, match="AUDIT_TRUNCATED"):
            workspace.monitor.call(CallRequest(APPEND, inputs, "one", "agent:ada"))
    away.rename(log)
    with probed.open() as workspace:
        assert workspace.recovered.recorded == 1
        told = [entry for _, entry in workspace.audit.entries() if entry.get("tool_id") == APPEND]
    assert [entry["kind"] for entry in told] == ["intent", "outcome"]
    assert (told[1]["outcome"], told[1]["details"]["recovered"]) == ("success", True)


def test_what_a_tool_says_of_its_failure_is_guarded_and_redacted_like_its_output(probed: Desk) -> None:
    with probed.open() as workspace:
        outcome = workspace.monitor.call(CallRequest(MISBEHAVE, {"how": "whisper"}, "one", "agent:ada"))
    assert outcome.error_id == "TOOL_FAILED"
    assert "ghp_" not in str(outcome.message)
    assert "override" in {name for name, _ in outcome.flags}


def test_a_refusal_by_an_id_that_does_not_exist_is_still_the_end_of_the_call(probed: Desk, tmp_path: Path) -> None:
    with probed.open() as workspace:
        inputs = {"file": str(tmp_path / "ledger"), "line": "refuse me"}
        outcome = workspace.monitor.call(CallRequest(APPEND, inputs, "one", "agent:ada"))
    assert (outcome.outcome, outcome.error_id) == ("ambiguous", "PLUGIN_RAISED")


def test_a_denied_capability_is_denied_to_who_needs_it_too() -> None:
    schema = {"type": "object"}
    told = {
        "id": "acme.a.b@v1", "version": "1.0.0", "summary": "x", "input_schema": schema, "output_schema": schema,
        "capability": "mail.send", "risk_level": "low", "effect": "read", "permissions_required": ["file.write"],
    }  # fmt: skip
    pack = {
        "pack_id": "p", "workspace_type": "personal", "version": "1.0.0", "summary": "x",
        "denylists": {"capabilities": ["file.write"]},
    }  # fmt: skip
    found = Policy(PolicyPack.model_validate(pack), None, "0" * 64)
    with pytest.raises(PolicyDenied, match="POLICY_TOOL_DENIED"):
        policy.permit(found, Tool.model_validate(told), "acme", ["file.write"])
