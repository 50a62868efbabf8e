"""The file vault keeps what it was given, gives it to nobody else's name, and finds every change of its file."""

import base64
import json
import multiprocessing
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloned_sdk.host import Refused
from cloned_vault_file.places import Places
from cloned_vault_file.vault import MAX_VALUE, FileVault

VALUE = b"s3cr3t-\x00-value-\xff"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def vault_in(folder: Path) -> FileVault:
    return FileVault(lambda: Places(folder), lambda: NOW)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def vault(folder: Path) -> FileVault:
    made = vault_in(folder)
    made.write("github.token", VALUE, "token")
    made.write("mail.password", b"other", "generic")
    return made


def refusal(call: object, *args: object) -> str:
    with pytest.raises(Refused) as caught:
        call(*args)  # type: ignore[operator]
    return caught.value.error_id


def test_a_secret_comes_back_as_it_was_in_another_process_s_eyes(vault: FileVault, folder: Path) -> None:
    assert vault_in(folder).read("github.token") == VALUE


def test_names_classes_and_times_are_listed_and_values_are_not(vault: FileVault) -> None:
    assert vault.names() == [
        ("github.token", "token", "2026-01-02T03:04:05.000000Z"),
        ("mail.password", "generic", "2026-01-02T03:04:05.000000Z"),
    ]


def test_no_file_holds_a_value_and_all_are_the_owner_s_alone(vault: FileVault, folder: Path) -> None:
    files = [path for path in folder.iterdir() if path.is_file()]
    assert {path.name for path in files} == {"vault.key", "vault.json", "vault.lock"}
    for path in files:
        data = path.read_bytes()
        assert VALUE not in data
        assert base64.b64encode(VALUE).strip(b"=") not in data
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_written_value_takes_the_old_one_s_place(vault: FileVault) -> None:
    vault.write("github.token", b"new", "token")
    assert vault.read("github.token") == b"new"
    assert len(vault.names()) == 2


def test_a_removed_secret_is_gone(vault: FileVault) -> None:
    vault.remove("github.token")
    assert refusal(vault.read, "github.token") == "SECRET_UNKNOWN"
    assert refusal(vault.remove, "github.token") == "SECRET_UNKNOWN"


def test_an_empty_vault_has_nothing_and_makes_nothing(folder: Path) -> None:
    empty = vault_in(folder)
    assert empty.names() == []
    assert refusal(empty.read, "github.token") == "SECRET_UNKNOWN"
    assert list(folder.iterdir()) == []


def test_every_flipped_byte_of_the_file_is_found(vault: FileVault, folder: Path) -> None:
    table = folder / "vault.json"
    good = table.read_bytes()
    for at in range(0, len(good) - 1, 7):
        table.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        assert refusal(vault.read, "github.token") == "VAULT_DAMAGED", f"byte {at}"


def test_a_secret_moved_to_another_name_is_found_even_with_a_right_table_hash(vault: FileVault, folder: Path) -> None:
    from cloned_vault_file import sealed  # noqa: PLC0415

    key = (folder / "vault.key").read_bytes()
    entries = sealed.unpack(key, (folder / "vault.json").read_bytes())
    stolen = sealed.Entry("mail.password", "generic", NOW.isoformat(), entries["github.token"].sealed)
    (folder / "vault.json").write_bytes(sealed.pack(key, entries | {"mail.password": stolen}))
    assert refusal(vault.read, "mail.password") == "VAULT_DAMAGED"


@pytest.mark.parametrize("change", ["removed", "repeated", "reordered"])
def test_a_changed_set_of_entries_is_found(vault: FileVault, folder: Path, change: str) -> None:
    table = json.loads((folder / "vault.json").read_bytes())
    first, second = table["entries"]
    table["entries"] = {"removed": [first], "repeated": [first, first, second], "reordered": [second, first]}[change]
    (folder / "vault.json").write_text(json.dumps(table))
    assert refusal(vault.names) == "VAULT_DAMAGED"


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[" * 100_000, b"\xff\xfe", b'{"entries":[],"mac":"x","schema_version":1}']
)
def test_a_file_that_is_none_is_damage(vault: FileVault, folder: Path, data: bytes) -> None:
    (folder / "vault.json").write_bytes(data)
    assert refusal(vault.names) == "VAULT_DAMAGED"


def test_another_key_opens_nothing(vault: FileVault, folder: Path) -> None:
    (folder / "vault.key").write_bytes(bytes(32))
    assert refusal(vault.read, "github.token") == "VAULT_DAMAGED"


def test_a_lost_key_is_damage_and_is_never_replaced_by_a_new_one(vault: FileVault, folder: Path) -> None:
    (folder / "vault.key").unlink()
    assert refusal(vault.read, "github.token") == "VAULT_DAMAGED"
    assert refusal(vault.write, "x", b"y", "generic") == "VAULT_DAMAGED"
    assert not (folder / "vault.key").exists()


@pytest.mark.parametrize("name", ["vault.key", "vault.json"])
def test_a_file_that_others_can_read_is_refused(vault: FileVault, folder: Path, name: str) -> None:
    (folder / name).chmod(0o640)
    assert refusal(vault.read, "github.token") == "VAULT_DAMAGED"


@pytest.mark.parametrize("name", ["vault.key", "vault.json"])
def test_a_link_in_the_place_of_a_file_is_refused(vault: FileVault, folder: Path, name: str) -> None:
    (folder / name).rename(folder / "elsewhere")
    (folder / name).symlink_to(folder / "elsewhere")
    assert refusal(vault.read, "github.token") == "VAULT_UNREACHABLE"


@pytest.mark.parametrize("name", ["", "A", "a b", "a..b", ".a", "a/b", "a\n", "é", "a" * 195])
def test_a_name_that_is_none_is_refused(vault: FileVault, name: str) -> None:
    assert refusal(vault.write, name, b"x", "generic") == "SECRET_REF"


@pytest.mark.parametrize("value", [b"", b"x" * (MAX_VALUE + 1)])
def test_an_empty_or_huge_value_is_refused(vault: FileVault, value: bytes) -> None:
    assert refusal(vault.write, "a", value, "generic") == "INPUT_TOO_LARGE"


def test_it_says_loudly_what_it_is_even_when_all_is_well(vault: FileVault) -> None:
    found = vault.status()
    assert found.level == "warning"
    assert "DEVELOPMENT ONLY" in found.what
    assert "vault.provider" in found.repair


def test_a_damaged_vault_is_a_problem_for_the_doctor(vault: FileVault, folder: Path) -> None:
    (folder / "vault.json").write_bytes(b"?")
    assert vault.status().level == "problem"


def test_no_error_holds_a_value(vault: FileVault, folder: Path) -> None:
    (folder / "vault.key").write_bytes(bytes(32))
    with pytest.raises(Refused) as caught:
        vault.read("github.token")
    assert "s3cr3t" not in f"{caught.value!r}{caught.value.details}{caught.value.__cause__!r}{vault!r}"


def _write_many(folder: Path, who: int) -> None:
    for at in range(10):
        vault_in(folder).write(f"p{who}.{at}", bytes([who, at]), "generic")


def test_writers_in_several_processes_lose_nothing(folder: Path) -> None:
    started = [multiprocessing.get_context("fork").Process(target=_write_many, args=(folder, who)) for who in range(4)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0] * 4
    kept = vault_in(folder)
    assert {name: kept.read(name) for name, _, _ in kept.names()} == {
        f"p{who}.{at}": bytes([who, at]) for who in range(4) for at in range(10)
    }
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
