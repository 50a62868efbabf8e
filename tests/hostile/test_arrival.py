"""A workspace that came with a checkout: it can be read and accepted; nothing in it counts that nobody made here."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from cloned.workspace import Workspace
from cloned_schemas.errors import ClonedError
from cloned_sdk.host import CallRequest
from cloned_storage.layout import UserPlaces
from tests.conftest import Desk, Dist, environment

OFFER = "acme.ledger.offer@v1"
SHARED = ("config.yaml", "registry.yaml", "plugins.lock.json")


def offer(file: Path) -> CallRequest:
    return CallRequest(OFFER, {"file": str(file), "line": "an offer"}, "one", "agent:ada")


@pytest.fixture
def colleague(tmp_path: Path) -> UserPlaces:
    home = tmp_path / "colleague"
    home.mkdir(mode=0o700)
    return UserPlaces.from_environment(environment(home))


@pytest.fixture
def clone(probed: Desk, colleague: UserPlaces, tmp_path: Path) -> Desk:
    """What a colleague has after `git clone`: the shared files alone, in the modes that git gives them."""
    found = Desk(tmp_path / "clone", colleague)
    (found.places.home / "policy").mkdir(parents=True)
    for name in SHARED:
        (found.places.home / name).write_bytes((probed.places.home / name).read_bytes())
        (found.places.home / name).chmod(0o644)
    return found


def set_aside(desk: Desk) -> list[Path]:
    return sorted(desk.places.home.glob("foreign-*"))


def refusal(desk: Desk, operation_id: str, **inputs: object) -> str:
    with pytest.raises(ClonedError) as raised:
        desk.ask(operation_id, **inputs)
    return raised.value.id


def test_a_fresh_clone_can_be_read_and_runs_nothing(clone: Desk, tmp_path: Path) -> None:
    assert clone.ask("approvals.list", all=True).approvals == []
    assert clone.ask("artifacts.list").artifacts == []
    assert clone.ask("audit.verify").entries == 0
    found = {row["check"]: row["level"] for row in clone.ask("doctor.run").findings}
    assert (found["workspace.accepted"], found["audit.chain"]) == ("problem", "ok")
    assert refusal(clone, "plugin.list") == "WORKSPACE_NOT_ACCEPTED"
    with clone.open() as workspace:
        assert workspace.monitor.call(offer(tmp_path / "shop")).error_id == "WORKSPACE_NOT_ACCEPTED"
    assert set_aside(clone) == []


def test_a_fresh_clone_works_once_it_is_accepted_and_its_plugins_are_installed(
    clone: Desk, dist: Dist, probes: Dist, tmp_path: Path
) -> None:
    synced = clone.ask("plugin.sync")
    assert synced.accepted == ["config.yaml", "plugins.lock.json", "registry.yaml"]
    assert "acme-ledger" in {refused["id"] for refused in synced.refused}
    for published in (dist, probes):
        clone.ask("trust.add", file=str(published.publisher), kernel=True)
    for plugin_id, published in (("cloned-policy-packs", dist), ("acme-ledger", probes)):
        clone.ask("plugin.install", **{"id": plugin_id, "from": str(published.folder), "enable": True})
    with clone.open() as workspace:
        assert workspace.monitor.call(offer(tmp_path / "shop")).outcome == "approval_required"


def test_a_database_and_an_audit_that_came_along_are_set_aside_and_never_believed(
    probed: Desk, clone: Desk, dist: Dist, probes: Dist, tmp_path: Path
) -> None:
    with probed.open() as workspace:
        asked = workspace.monitor.call(offer(tmp_path / "shop"))
    probed.ask("approvals.approve", id=asked.approval_id)
    planted = {name: (probed.places.home / name).read_bytes() for name in ("state.db", "audit.log")}
    for name, data in planted.items():
        (clone.places.home / name).write_bytes(data)
    assert clone.ask("approvals.list", all=True).approvals == []
    assert sorted(path.read_bytes() for path in set_aside(clone)) == sorted(planted.values())
    [entry] = clone.ask("audit.tail").entries
    assert entry["details"]["set_aside"] == [path.name for path in set_aside(clone)]
    test_a_fresh_clone_works_once_it_is_accepted_and_its_plugins_are_installed(clone, dist, probes, tmp_path)
    assert len(set_aside(clone)) == 2
    assert not (tmp_path / "shop").exists()


def test_a_new_workspace_believes_no_database_that_lay_there_before(desk: Desk, tmp_path: Path) -> None:
    with desk.open() as workspace, workspace.database.begin() as transaction:
        transaction.publish("planted", "here", {})
    other = Desk(tmp_path / "repository", desk.user)
    other.places.home.mkdir(parents=True)
    shutil.copy(desk.places.database, other.places.database)
    other.ask("workspace.init", type="personal")
    with other.open() as workspace, workspace.database.read() as connection:
        assert connection.exec_driver_sql("select count(*) from events where type = 'planted'").scalar() == 0
    assert len(set_aside(other)) == 1


def test_a_database_put_in_the_place_of_ours_is_refused_until_ours_is_back(probed: Desk, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.db", Desk(tmp_path / "theirs", probed.user)
    theirs.ask("workspace.init", type="personal")
    shutil.move(probed.places.database, ours)
    shutil.copy(theirs.places.database, probed.places.database)
    assert refusal(probed, "approvals.list") == "WORKSPACE_CHANGED"
    with sqlite3.connect(probed.places.database) as connection:
        connection.execute("drop table origin")
    connection.close()
    assert refusal(probed, "approvals.list") == "DATABASE_SCHEMA"
    shutil.move(ours, probed.places.database)
    assert probed.ask("approvals.list").approvals == []


def test_a_config_that_nobody_accepted_leads_to_no_other_database(clone: Desk, probed: Desk, tmp_path: Path) -> None:
    config = clone.places.config.read_text()
    for place in (tmp_path / "made.db", probed.places.database):
        clone.places.config.write_text(f"{config}database_url: sqlite:///{place}\n")
        assert clone.ask("approvals.list").approvals == []
    assert not (tmp_path / "made.db").exists()


def test_an_accepted_workspace_keeps_to_what_was_accepted_whatever_its_config_says(
    probed: Desk, tmp_path: Path
) -> None:
    config = probed.places.config.read_text()
    probed.places.config.write_text(f"{config}database_url: sqlite:///{tmp_path / 'made.db'}\n")
    with probed.open() as workspace:
        assert workspace.config.database_url is None
    assert not (tmp_path / "made.db").exists()


def test_another_id_in_the_config_for_a_while_frees_nobody_of_what_was_decided(probed: Desk, tmp_path: Path) -> None:
    config = probed.places.config.read_bytes()
    changed = config.decode().replace(str(_id(probed)), "01900000-0000-7000-8000-000000000000")
    probed.places.config.write_text(changed)
    assert probed.ask("approvals.list").approvals == []
    probed.places.config.write_bytes(config)
    assert refusal(probed, "approvals.list") == "WORKSPACE_CHANGED"
    for kept in set_aside(probed):
        kept.replace(probed.places.home / kept.name.split("-", 6)[6])
    assert probed.ask("doctor.run").problems == 0


def _id(desk: Desk) -> str:
    with desk.open() as workspace:
        return workspace.config.workspace_id


def test_what_git_clean_takes_away_is_made_again_or_missed_by_name(probed: Desk) -> None:
    shutil.rmtree(probed.places.run)
    shutil.rmtree(probed.places.artifacts)
    assert probed.ask("artifacts.list").artifacts == []
    probed.places.database.unlink()
    assert refusal(probed, "artifacts.list") == "DATABASE_SCHEMA"


def test_who_comes_second_finds_what_the_first_began(clone: Desk) -> None:
    with clone.open() as first, Workspace.open(clone.places, clone.user) as second:
        assert first.audit.verify().intact
        assert second.config.workspace_id == first.config.workspace_id
    assert set_aside(clone) == []
