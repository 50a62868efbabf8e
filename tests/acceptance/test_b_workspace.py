"""Acceptance B: a workspace is made, its policy is visible, and nothing runs before a person applies one."""

import json
import stat

import pytest

from cloned_schemas.errors import UserMistake
from cloned_sdk.host import CallRequest
from cloned_storage.layout import UserPlaces
from tests.conftest import Command, Desk, Dist

SEARCH = "cloned.documents.search@v1"


def test_init_makes_a_private_folder_with_files_that_fit_their_schemas(command: Command) -> None:
    made = command("init", "--type", "personal", "--json")
    assert made.code == 0
    assert json.loads(made.out)["type"] == "personal"
    home = command.folder / ".cloned"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert {path.name for path in home.iterdir()} >= {
        "config.yaml",
        "registry.yaml",
        "plugins.lock.json",
        "audit.log",
        "state.db",
    }
    assert command("audit", "verify").code == 0
    assert command("doctor").code == 0


def test_a_second_init_is_refused_and_changes_nothing(command: Command) -> None:
    command("init", "--type", "personal")
    before = {path.name: path.read_bytes() for path in (command.folder / ".cloned").glob("*.yaml")}
    again = command("init", "--type", "shared", "--json")
    assert again.code == 2
    assert json.loads(again.out)["error"]["id"] == "WORKSPACE_EXISTS"
    assert {path.name: path.read_bytes() for path in (command.folder / ".cloned").glob("*.yaml")} == before


def test_before_a_pack_is_applied_the_floor_denies_every_call(desk: Desk, dist: Dist) -> None:
    desk.ask("trust.add", file=str(dist.publisher), kernel=True)
    desk.ask("plugin.install", **{"id": "cloned-connector-documents", "from": str(dist.folder), "enable": True})
    with desk.open() as workspace:
        outcome = workspace.monitor.call(CallRequest(SEARCH, {"query": "anything"}, "one", "agent:ada"))
    assert (outcome.outcome, outcome.error_id) == ("blocked", "POLICY_FLOOR")


def test_the_policy_in_force_and_where_it_comes_from_can_be_seen(furnished: Desk) -> None:
    shown = furnished.ask("policy.show")
    assert shown.pack == "personal"
    assert shown.rules["budgets"]["api_requests"] == {"period": "month", "cap": 10000}
    assert shown.rules["budgets"]["content_publish"] == {"period": "month", "cap": 5}
    assert [pack["plugin"] for pack in shown.available] == ["cloned-policy-packs"]


def test_applying_a_pack_shows_its_rules_to_the_person_first(desk: Desk, dist: Dist) -> None:
    desk.ask("trust.add", file=str(dist.publisher))
    desk.ask("plugin.install", **{"id": "cloned-policy-packs", "from": str(dist.folder), "enable": True})
    desk.ask("policy.apply", pack="personal")
    subject, facts = desk.person.agreed[-1]
    assert subject == "put policy personal in force"
    told = "\n".join(facts)
    assert "content_publish: 5 a month" in told
    assert "nothing is reachable" in told


def test_a_pack_for_another_type_of_workspace_is_refused(command: Command, dist: Dist) -> None:
    other = Desk(command.folder, UserPlaces.from_environment(command.env))
    other.ask("workspace.init", type="enterprise")
    other.ask("trust.add", file=str(dist.publisher))
    other.ask("plugin.install", **{"id": "cloned-policy-packs", "from": str(dist.folder), "enable": True})
    with pytest.raises(UserMistake, match="POLICY_TYPE"):
        other.ask("policy.apply", pack="personal")
