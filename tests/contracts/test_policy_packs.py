"""The policy packs that we ship fit the contract and say what the documentation of governance promises."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from cloned.monitor.egress import judge
from cloned.monitor.policy import Policy, refuse_unusable
from cloned_schemas.manifest import Manifest
from cloned_schemas.policy import Match, PolicyPack

PLUGIN = Path(__file__).parents[2] / "plugins/cloned-policy-packs"
PACKS = PLUGIN / "src/cloned_policy_packs"


def written(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text())


@pytest.fixture
def personal() -> PolicyPack:
    return PolicyPack.model_validate(written(PACKS / "personal.yaml"))


def test_every_pack_is_contributed_under_its_own_id() -> None:
    author = written(PLUGIN / "plugin.yaml")
    derived = {"id": "cloned-policy-packs", "version": "0.1.0", "summary": "-", "license": "Apache-2.0", "files": []}
    manifest = Manifest.model_validate(author | derived)
    contributed = {one.path: one.id for one in manifest.contributes.policy_packs}
    found = {f"cloned_policy_packs/{path.name}": written(path)["pack_id"] for path in PACKS.glob("*.yaml")}
    assert contributed == found
    assert manifest.execution == "data"


def test_personal_has_the_budgets_of_a_month(personal: PolicyPack) -> None:
    caps = {name: (rule.period, rule.cap) for name, rule in personal.budgets.items()}
    assert caps == {"api_requests": ("month", 10_000), "content_publish": ("month", 5)}
    assert personal.workspace_type == "personal"


def test_personal_asks_a_person_where_it_must(personal: PolicyPack) -> None:
    asked = [rule.match for rule in personal.approvals.rules if rule.requires_approval]
    for match in (
        Match(risk_level="high"),
        Match(effect="publish"),
        Match(tool_id="cloned.internal.security.egress.update@v1"),
    ):
        assert match in asked
    assert all(rule.requires_approval for rule in personal.approvals.rules)


def test_personal_reaches_nothing_and_narrows_no_publisher(personal: PolicyPack) -> None:
    policy = Policy(personal, None, "0" * 64)
    refuse_unusable(policy)
    layers = policy.egress_layers("cloned.documents.search@v1", "cloned-connector-documents")
    assert judge(["example.com"], layers).denied == "example.com"
    assert personal.allowlists.publishers == []


def test_a_pack_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="budgett"):
        PolicyPack.model_validate(written(PACKS / "personal.yaml") | {"budgett": {}})
