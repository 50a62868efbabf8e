"""What a person is shown is what will be: nothing unseen in a payload, an upgrade, a policy, a set of files."""

import json
import shutil
from pathlib import Path

import pytest

from cloned.monitor import approvals
from cloned_cli import show
from cloned_schemas.errors import TrustRefused, UserMistake
from cloned_sdk.host import CallRequest
from tests.conftest import REPOSITORY, Desk, Dist, sign_into


def facts(desk: Desk) -> str:
    """What the person last agreed to."""
    return "\n".join(desk.person.agreed[-1][1])


def test_a_character_that_nobody_sees_is_shown_by_its_number(probed: Desk, tmp_path: Path) -> None:
    line = "pay 10\x1b[2K\x7f\u202e0001 to\u200b Bob"
    with probed.open() as workspace:
        inputs = {"file": str(tmp_path / "shop"), "line": line}
        asked = workspace.monitor.call(CallRequest("acme.ledger.offer@v1", inputs, "one", "agent:ada"))
    probed.ask("approvals.approve", id=asked.approval_id)
    assert "pay 10<U+001B>[2K<U+007F><U+202E>0001 to<U+200B> Bob" in facts(probed)


def test_no_entry_of_a_payload_hides_behind_another(probed: Desk) -> None:
    assert approvals.legible({"to": "a", "t\x00o": ["b\x9b"]}) == {"to": "a", "t<U+0000>o": ["b<U+009B>"]}


@pytest.fixture
def upgrade(probes: Dist, tmp_path: Path) -> Dist:
    """A release of the ledger with a new ability."""
    source = tmp_path / "acme-ledger"
    shutil.copytree(REPOSITORY / "tests" / "plugins" / "acme-ledger", source)
    for file, old, new in (
        ("pyproject.toml", 'version = "1.0.0"', 'version = "1.1.0"'),
        ("plugin.yaml", "Append a line to a file that others read", "Sell the house"),
    ):
        place = source / file
        place.write_text(place.read_text().replace(old, new))
    return sign_into(Dist(tmp_path / "next", probes.publisher, probes.key), [source])


def test_an_upgrade_of_an_enabled_plugin_shows_all_that_it_may_then_do(probed: Desk, upgrade: Dist) -> None:
    installed = probed.ask("plugin.install", **{"id": "acme-ledger", "from": str(upgrade.folder)})
    assert installed.enabled
    assert "Sell the house" in facts(probed)
    assert "code      runs in Cloned's own process" in facts(probed)


def write_overlay(desk: Desk, pack: str, text: str) -> None:
    desk.places.policy.joinpath(f"{pack}.yaml").write_text(f"pack_id: {pack}\n{text}")


def test_a_policy_shows_every_host_that_it_opens_for_anyone(probed: Desk) -> None:
    by_tool = "egress_by_tool: {acme.probe.reach@v1: [tool.example.com]}"
    by_connector = "egress_by_connector: {acme-probe: [plugin.example.com]}"
    write_overlay(probed, "personal", f"allowlists: {{{by_tool}, {by_connector}, egress_domains: [all.example.com]}}\n")
    probed.ask("policy.apply")
    for line in ("acme.probe.reach@v1: tool", "acme-probe: plugin", "every tool: all"):
        assert f"network   {line}.example.com" in facts(probed)


def test_applying_a_policy_accepts_no_other_pack_s_overlay_unseen(probed: Desk) -> None:
    write_overlay(probed, "personal", "budgets: {storage: {period: month, cap: 1}}\n")
    write_overlay(probed, "another", "budgets: {storage: {period: month, cap: 1000000}}\n")
    with pytest.raises(UserMistake, match=r"policy/another\.yaml changed too"):
        probed.ask("policy.apply")
    assert set(probed.ask("plugin.sync").accepted) == {"policy/another.yaml", "policy/personal.yaml"}


def test_a_pack_that_two_plugins_ship_is_named_with_its_plugin(probed: Desk, probes: Dist, tmp_path: Path) -> None:
    source = tmp_path / "acme-packs"
    shutil.copytree(REPOSITORY / "plugins" / "cloned-policy-packs", source, ignore=shutil.ignore_patterns("tests"))
    (source / "src" / "cloned_policy_packs").rename(source / "src" / "acme_packs")
    for file in ("pyproject.toml", "plugin.yaml"):
        text = (source / file).read_text().replace("cloned-policy-packs", "acme-packs")
        text = text.replace("cloned_policy_packs", "acme_packs").replace("publisher_id: cloned", "publisher_id: acme")
        (source / file).write_text(text)
    made = sign_into(Dist(tmp_path / "packs", probes.publisher, probes.key), [source])
    probed.ask("plugin.install", **{"id": "acme-packs", "from": str(made.folder), "enable": True})
    with pytest.raises(UserMistake, match="several plugins ship"):
        probed.ask("policy.apply", pack="personal")
    probed.ask("policy.apply")
    assert "cloned-policy-packs" in facts(probed)
    probed.ask("policy.apply", pack="acme-packs:personal")
    assert "acme-packs" in facts(probed)


def test_sync_carries_grants_that_a_person_wrote_into_the_lock_and_shows_that_too(probed: Desk) -> None:
    registry = probed.places.registry.read_text()
    probed.places.registry.write_text(
        registry.replace("- api.example.com", "- api.example.com\n        - b.example.com")
    )
    synced = probed.ask("plugin.sync")
    assert (synced.accepted, synced.refused) == (["plugins.lock.json", "registry.yaml"], [])
    assert facts(probed).count("b.example.com") == 2
    locked = {entry["id"]: entry for entry in json.loads(probed.places.lock.read_bytes())["plugins"]}
    assert locked["acme-probe"]["grants"]["hosts"] == ["api.example.com", "b.example.com"]


def test_json_on_a_terminal_holds_nothing_that_steers_it(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x9b2J\x1b[2J\u202eab\udcff"
    show.answer({"text": hostile}, {}, as_json=True)
    show.error(UserMistake("USAGE", hostile), as_json=True)
    said = capsys.readouterr().out
    assert said.isascii()
    assert "\x1b" not in said
    assert json.loads(said.partition("\n}\n")[0] + "}")["text"] == hostile


def test_an_error_about_changed_files_shows_what_changed(capsys: pytest.CaptureFixture[str]) -> None:
    changed = [{"file": "config.yaml", "lines": ["-name: a", "+name: \x1b[2Jb"]}]
    show.error(
        TrustRefused("WORKSPACE_CHANGED", "it is not as accepted", details={"differences": changed}), as_json=False
    )
    said = capsys.readouterr().err
    assert "-name: a" in said
    assert "\x1b[2J" not in said
