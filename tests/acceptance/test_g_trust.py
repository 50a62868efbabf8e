"""Acceptance G: what is unsigned or tampered with is refused; whom to trust is decided per user and per workspace."""

import json
from pathlib import Path

import pytest

from cloned_schemas.errors import ClonedError
from tests.conftest import Command, Desk, Dist

RESEARCH = "cloned-research"


def install(desk: Desk, dist: Path, plugin_id: str = RESEARCH) -> None:
    desk.ask("plugin.install", **{"id": plugin_id, "from": str(dist), "enable": True})


def copied(dist: Dist, tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    folder.mkdir()
    for path in dist.folder.glob("cloned_research-*"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def refusal(desk: Desk, dist: Path) -> ClonedError:
    with pytest.raises(ClonedError) as caught:
        install(desk, dist)
    return caught.value


def state(desk: Desk) -> dict[str, bytes]:
    """Everything in the workspace and the user's folders but locks, and audit and database, which tell of it."""
    roots = [desk.places.home, desk.user.config, desk.user.state, desk.user.data]
    files = (path for root in roots for path in root.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files if not path.name.startswith(("audit.", "state.db", ".lock"))}


def test_an_untrusted_publisher_is_refused_until_a_person_trusts_it(desk: Desk, dist: Dist) -> None:
    assert refusal(desk, dist.folder).id == "PUBLISHER_UNTRUSTED"
    desk.ask("trust.add", file=str(dist.publisher))
    install(desk, dist.folder)
    [row] = desk.ask("plugin.list", why=True).plugins
    assert (row["state"], row["version"]) == ("enabled", "0.1.0")


def test_an_unsigned_wheel_is_refused(desk: Desk, dist: Dist, tmp_path: Path) -> None:
    desk.ask("trust.add", file=str(dist.publisher))
    folder = copied(dist, tmp_path)
    next(folder.glob("*.dsse.json")).unlink()
    before = state(desk)
    assert refusal(desk, folder).id == "SIG_MISSING"
    assert state(desk) == before


def test_a_tampered_wheel_is_refused_and_only_the_audit_tells_of_it(desk: Desk, dist: Dist, tmp_path: Path) -> None:
    desk.ask("trust.add", file=str(dist.publisher))
    folder = copied(dist, tmp_path)
    wheel = next(folder.glob("*.whl"))
    data = wheel.read_bytes()
    wheel.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:])
    before = state(desk)
    assert refusal(desk, folder).id == "DIGEST_MISMATCH"
    assert state(desk) == before
    [*_, last] = desk.ask("audit.tail").entries
    assert (last["kind"], last["error_id"], last["details"]["plugin"]) == ("refusal", "DIGEST_MISMATCH", RESEARCH)


def test_a_publisher_may_run_code_in_the_kernel_only_where_a_person_said_so(desk: Desk, dist: Dist) -> None:
    desk.ask("trust.add", file=str(dist.publisher))
    with pytest.raises(ClonedError) as caught:
        install(desk, dist.folder, "cloned-vault-file")
    assert caught.value.id == "EXECUTION_NOT_GRANTED"
    desk.ask("trust.add", file=str(dist.publisher), kernel=True)
    install(desk, dist.folder, "cloned-vault-file")


def test_a_workspace_can_trust_less_than_its_user_but_never_more(desk: Desk, dist: Dist, probes: Dist) -> None:
    desk.ask("trust.add", file=str(dist.publisher))
    install(desk, dist.folder)
    (desk.places.trust / "trust.yaml").write_text("only_publishers: [acme]\n")
    [row] = desk.ask("plugin.list").plugins
    assert (row["state"], row["error_id"]) == ("refused", "PUBLISHER_UNTRUSTED")
    with pytest.raises(ClonedError, match="PUBLISHER_UNTRUSTED"):
        install(desk, probes.folder, "acme-probe")


def test_a_revoked_key_takes_its_plugins_out_of_force(desk: Desk, dist: Dist) -> None:
    desk.ask("trust.add", file=str(dist.publisher))
    install(desk, dist.folder)
    [publisher] = desk.ask("trust.list").publishers
    desk.ask("trust.revoke", scope="key", id=publisher["keys"][0])
    [row] = desk.ask("plugin.list").plugins
    assert (row["state"], row["error_id"]) == ("refused", "KEY_REVOKED")


def test_trust_needs_a_person_at_a_terminal(command: Command, dist: Dist) -> None:
    command("init")
    refused = command("trust", "add", dist.publisher, "--json")
    assert (refused.code, json.loads(refused.out)["error"]["id"]) == (4, "OPERATOR_REQUIRED")
    assert json.loads(command("trust", "list", "--json").out)["publishers"] == []
    agreed = command.at_terminal("trust", "add", dist.publisher)
    assert agreed.code == 0
    assert "a signature tells who built a plugin, not that it is harmless" in agreed.out
    assert [row["id"] for row in json.loads(command("trust", "list", "--json").out)["publishers"]] == ["cloned"]


def test_a_dry_run_judges_and_changes_nothing(desk: Desk, dist: Dist) -> None:
    desk.ask("trust.add", file=str(dist.publisher))
    before = state(desk)
    shown = desk.ask("plugin.install", **{"id": RESEARCH, "from": str(dist.folder), "enable": True, "dry_run": True})
    assert shown.dry_run
    assert any("cloned.research.synthesize@v1" in fact for fact in shown.asks)
    assert state(desk) == before
    assert desk.ask("plugin.list").plugins == []


def test_a_changed_file_of_an_installed_plugin_is_refused_by_name(furnished: Desk, command: Command) -> None:
    victim = next(furnished.user.store.glob("*/tree/cloned_research/worker.py"))
    sound = victim.read_bytes()
    victim.chmod(0o644)
    victim.write_bytes(sound.replace(b"server", b"serve_", 1))
    victim.chmod(0o444)
    told = Command(furnished.root, command.env)("plugin", "verify", "--json")
    error = json.loads(told.out)["error"]
    assert (told.code, error["id"]) == (5, "TREE_MISMATCH")
    assert "cloned_research/worker.py" in error["message"]
    states = {row["id"]: row["state"] for row in furnished.ask("plugin.list").plugins}
    assert states.pop(RESEARCH) == "refused"
    assert set(states.values()) == {"enabled"}
