"""`cloned-sdk publisher init`, `sign` and `check`: what they write, and what they refuse to."""

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from cloned_devkit.main import main
from cloned_schemas.trust import Publisher, Revocations
from cloned_trust.release import ReleaseVerdict, judge_release

from .conftest import Desk


def signature(desk: Desk) -> Path:
    return desk.wheel.with_name(f"{desk.wheel.name}.cloned.dsse.json")


def record(key: Path) -> Publisher:
    return Publisher.model_validate_json(key.with_name("publisher.json").read_bytes())


def judged(desk: Desk, *publishers: Publisher) -> ReleaseVerdict:
    return judge_release(
        wheel=desk.wheel.read_bytes(),
        wheel_name=desk.wheel.name,
        signature=signature(desk).read_bytes(),
        publishers=publishers,
        revocations=Revocations(),
    )


def test_a_signed_wheel_is_accepted_where_its_publisher_is_trusted(desk: Desk) -> None:
    desk.packed()
    key = desk.publisher()
    result = desk.run("sign", desk.wheel, "--key", key)
    assert result.exit_code == 0, result.output
    verdict = judged(desk, record(key))
    assert verdict.findings == ()
    assert verdict.release is not None
    assert verdict.release.keyid == record(key).keys[0].keyid


def test_signing_again_gives_the_same_bytes(desk: Desk) -> None:
    desk.packed()
    key = desk.publisher()
    desk.run("sign", desk.wheel, "--key", key)
    first = signature(desk).read_bytes()
    desk.run("sign", desk.wheel, "--key", key)
    assert signature(desk).read_bytes() == first


def test_two_keys_make_two_signatures(desk: Desk) -> None:
    desk.packed()
    one, two = desk.publisher(), desk.root / "second" / "secret-key.json"
    desk.run("publisher", "init", "acme", "--namespace", "acme", "--out", two.parent)
    assert desk.run("sign", desk.wheel, "--key", one, "--key", two).exit_code == 0
    assert len(json.loads(signature(desk).read_bytes())["signatures"]) == 2


def test_the_secret_key_is_its_owners_alone_and_in_no_output(desk: Desk) -> None:
    result = desk.run("publisher", "init", "acme", "--namespace", "acme", "--out", desk.root / "keys", "--kernel")
    key = desk.root / "keys" / "secret-key.json"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert json.loads(key.read_text())["seed"] not in result.output
    assert record(key).executions == ["data", "worker", "kernel"]
    assert record(key).namespaces == ["acme"]


def test_a_publisher_without_the_kernel_grant_does_not_ask_for_it(desk: Desk) -> None:
    assert record(desk.publisher()).executions == ["data", "worker"]


@pytest.mark.parametrize("present", ["secret-key.json", "publisher.json"])
def test_no_key_and_no_record_is_ever_replaced(desk: Desk, present: str) -> None:
    folder = desk.root / "keys"
    folder.mkdir()
    (folder / present).write_text("mine")
    result = desk.run("publisher", "init", "acme", "--namespace", "acme", "--out", folder)
    assert (result.exit_code, result.stderr.split(":")[0]) == (2, "FILE_EXISTS")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {present: "mine"}


def test_a_publisher_id_that_cannot_be_one_is_refused(desk: Desk) -> None:
    result = desk.run("publisher", "init", "Acme Inc", "--namespace", "acme", "--out", desk.root / "keys")
    assert (result.exit_code, result.stderr.split(":")[0]) == (2, "FILE_INVALID")
    assert not (desk.root / "keys").exists()


def test_a_key_that_others_can_read_signs_nothing(desk: Desk) -> None:
    desk.packed()
    key = desk.publisher()
    key.chmod(0o640)
    result = desk.run("sign", desk.wheel, "--key", key)
    assert (result.exit_code, result.stderr.splitlines()[1]) == (2, f"→ run: chmod 600 {key}")
    assert not signature(desk).exists()


@pytest.mark.parametrize("text", ["", "{}", '{"kty":"ed25519","seed":"c2hvcnQ="}', '{"kty":"ed25519","seed":"?"}', "x"])
def test_a_key_file_that_is_none_is_refused_without_quoting_it(desk: Desk, text: str) -> None:
    desk.packed()
    key = desk.root / "key.json"
    key.touch(0o600)
    key.write_text(text)
    result = desk.run("sign", desk.wheel, "--key", key)
    assert (result.exit_code, result.stderr.split(":")[0]) == (2, "KEY_FILE")
    assert "c2hvcnQ" not in result.output


def test_another_publishers_key_is_refused_at_the_desk_already(desk: Desk) -> None:
    desk.packed()
    result = desk.run("sign", desk.wheel, "--key", desk.publisher("other"))
    assert (result.exit_code, result.stderr.split(":")[0]) == (5, "KEY_NOT_FOR_PUBLISHER")
    assert not signature(desk).exists()


def test_a_plugin_outside_the_publishers_namespaces_is_not_signed(desk: Desk) -> None:
    desk.packed()
    folder = desk.root / "keys"
    desk.run("publisher", "init", "acme", "--namespace", "elsewhere", "--out", folder)
    result = desk.run("sign", desk.wheel, "--key", folder / "secret-key.json")
    assert (result.exit_code, result.stderr.split(":")[0]) == (5, "NAMESPACE_NOT_OWNED")


def test_a_kernel_plugin_is_not_signed_by_a_publisher_whose_record_lacks_that_kind(desk: Desk) -> None:
    desk.replace("plugin.yaml", "execution: worker\nisolation: sandbox", "execution: kernel\nisolation: in_process")
    desk.packed()
    result = desk.run("sign", desk.wheel, "--key", desk.publisher())
    assert (result.exit_code, result.stderr.split(":")[0]) == (5, "EXECUTION_NOT_GRANTED")


def test_a_wheel_that_the_gate_refuses_is_not_signed(desk: Desk) -> None:
    desk.packed()
    desk.wheel.write_bytes(desk.wheel.read_bytes() + b"PK")
    result = desk.run("sign", desk.wheel, "--key", desk.publisher())
    assert (result.exit_code, result.stderr.split(":")[0]) == (5, "ZIP_STRUCTURE")


def test_check_of_a_folder_is_good_and_notes_that_it_is_unsigned(desk: Desk) -> None:
    result = desk.run("check", desk.plugin, "--json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["accepted"], report["subject"]) == (0, True, desk.wheel.name)
    assert ("SIG_MISSING", "notice") in {(one["error_id"], one["severity"]) for one in report["findings"]}
    assert not desk.dist.exists()


def test_check_of_a_signed_wheel_finds_no_missing_signature(desk: Desk) -> None:
    desk.packed()
    desk.run("sign", desk.wheel, "--key", desk.publisher())
    report = json.loads(desk.run("check", desk.wheel, "--json").stdout)
    assert report["accepted"]
    assert "SIG_MISSING" not in {one["error_id"] for one in report["findings"]}


def test_check_of_a_changed_wheel_says_what_is_wrong_and_how_it_is_mended(desk: Desk) -> None:
    data = desk.packed()
    desk.run("sign", desk.wheel, "--key", desk.publisher())
    desk.wheel.write_bytes(data.replace(b"Bern\n", b"Bonn\n"))
    result = desk.run("check", desk.wheel)
    assert result.exit_code == 5
    assert "refuse DIGEST_MISMATCH" in result.stdout
    assert "→ pack it again" in result.stdout
    assert result.stdout.splitlines()[-1] == f"{desk.wheel.name}: refused"


def test_check_of_a_folder_that_cannot_be_packed_says_why_as_json(desk: Desk) -> None:
    (desk.plugin / "plugin.yaml").unlink()
    result = desk.run("check", desk.plugin, "--json")
    assert (result.exit_code, json.loads(result.stdout)["error"]["id"]) == (2, "FILE_UNREADABLE")


def test_a_signature_that_is_a_link_is_not_followed(desk: Desk) -> None:
    desk.packed()
    signature(desk).symlink_to(desk.root / "nowhere")
    assert desk.run("check", desk.wheel).exit_code == 5


@pytest.mark.parametrize("command", [[], ["pack"], ["sign"], ["check"], ["publisher"], ["publisher", "init"]])
def test_every_command_explains_itself(command: list[str]) -> None:
    result = CliRunner().invoke(main, [*command, "--help"])
    assert result.exit_code == 0
    assert command == ["publisher"] or "Example" in result.output


def test_a_wrong_option_is_a_usage_mistake(desk: Desk) -> None:
    assert desk.run("pack", desk.plugin).exit_code == 2
