import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloned_schemas.errors import ClonedError, Unavailable
from cloned_storage.accepted import AcceptedStore
from cloned_storage.layout import Places, UserPlaces, private_folder

Error = Callable[..., ClonedError]


class Record:
    """What the audit was told, and a way to make it fail."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, dict[str, Any], str]] = []
        self.broken = False

    def append(self, kind: str, details: dict[str, Any], change_id: str) -> None:
        if self.broken:
            raise Unavailable("AUDIT_UNAVAILABLE", "the disk is full")
        self.entries.append((kind, details, change_id))

    def seen(self, change_id: str) -> bool:
        return any(entry[2] == change_id for entry in self.entries)


@pytest.fixture
def record() -> Record:
    return Record()


@pytest.fixture
def store(places: Places, user: UserPlaces, clock: Any) -> AcceptedStore:
    return AcceptedStore(places, user, clock, "an-id")


def accept(store: AcceptedStore, record: Record, files: dict[Path, bytes | None], **named: Any) -> None:
    based_on = named.pop("based_on", None) or store.proposed()
    store.change(files, named.get("folders"), "workspace", {"what": "test"}, record.append, based_on=based_on)


@pytest.fixture
def made(store: AcceptedStore, places: Places, record: Record) -> AcceptedStore:
    accept(store, record, {places.config: b"name: a\n", places.registry: b"plugins: []\n", places.lock: b"{}\n"})
    return store


def test_nothing_is_in_force_until_a_person_accepts(places: Places, store: AcceptedStore, error_of: Error) -> None:
    places.config.write_bytes(b"name: mine\n")
    assert store.current() is None
    assert error_of(store.check).id == "WORKSPACE_NOT_ACCEPTED"
    assert [(one.file, one.lines[-2:]) for one in store.difference()] == [("config.yaml", ("+name: mine", "+"))]


def test_an_accepted_change_is_in_the_files_in_force_and_on_record(
    places: Places, made: AcceptedStore, record: Record
) -> None:
    accepted = made.check()
    assert accepted.files == {
        "config.yaml": b"name: a\n",
        "registry.yaml": b"plugins: []\n",
        "plugins.lock.json": b"{}\n",
    }
    assert {path: path.read_bytes() for path in (places.config, places.registry, places.lock)} == {
        places.home / name: data for name, data in accepted.files.items()
    }
    assert record.entries == [("workspace", {"what": "test"}, accepted.change_id)]
    assert accepted.at == "2026-05-04T03:02:01.987654Z"


@pytest.mark.parametrize("name", ["config.yaml", "registry.yaml", "plugins.lock.json", "policy/personal.yaml"])
def test_an_edited_file_is_refused_with_the_difference(
    places: Places, made: AcceptedStore, record: Record, error_of: Error, name: str
) -> None:
    accept(made, record, {places.policy / "personal.yaml": b"pack_id: personal\n"})
    made.check()
    before = (places.home / name).read_bytes()
    (places.home / name).write_bytes(before + b"evil: \x1b[8m1\n")
    refused = error_of(made.check)
    assert refused.id == "WORKSPACE_CHANGED"
    shown = refused.details["differences"]
    assert [one["file"] for one in shown] == [name]
    assert "+evil: \\u001b[8m1" in shown[0]["lines"]
    (places.home / name).write_bytes(before)
    made.check()


@pytest.mark.parametrize("name", ["config.yaml", "registry.yaml", "plugins.lock.json"])
def test_a_removed_file_is_a_difference(places: Places, made: AcceptedStore, error_of: Error, name: str) -> None:
    (places.home / name).unlink()
    assert [one["file"] for one in error_of(made.check).details["differences"]] == [name]


def test_an_added_overlay_is_a_difference_and_other_names_mean_nothing(
    places: Places, made: AcceptedStore, error_of: Error
) -> None:
    (places.policy / ".personal.yaml.swp").write_bytes(b"x")
    (places.policy / "personal.yaml~").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(places.policy) + b"/\xff.yaml")).write_bytes(b"x")
    made.check()
    (places.policy / "personal.yaml").write_bytes(b"allow: all\n")
    assert [one["file"] for one in error_of(made.check).details["differences"]] == ["policy/personal.yaml"]


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "large"])
def test_another_kind_of_file_in_the_place_of_a_proposal_is_refused(
    places: Places, made: AcceptedStore, error_of: Error, kind: str, tmp_path: Path
) -> None:
    path = places.policy / "personal.yaml"
    if kind == "link":
        (tmp_path / "x").write_bytes(b"x")
        path.symlink_to(tmp_path / "x")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(100_000_000)
    assert error_of(made.check).id == ("FILE_TOO_LARGE" if kind == "large" else "FILE_UNSAFE")


def test_a_thousand_overlays_are_refused_before_they_are_read(
    places: Places, made: AcceptedStore, error_of: Error
) -> None:
    for number in range(1000):
        (places.policy / f"p{number}.yaml").touch()
    assert error_of(made.check).id == "FILE_TOO_LARGE"


def test_a_change_keeps_what_it_does_not_name(places: Places, made: AcceptedStore, record: Record) -> None:
    accept(made, record, {}, folders={"cloned-x": {"docs": "/srv/docs"}})
    accept(made, record, {places.registry: b"plugins: [1]\n"})
    accepted = made.check()
    assert accepted.folders == {"cloned-x": {"docs": "/srv/docs"}}
    assert (accepted.files["config.yaml"], accepted.files["registry.yaml"]) == (b"name: a\n", b"plugins: [1]\n")
    accept(made, record, {}, folders={})
    assert made.check().folders == {}


def test_an_edit_that_the_change_does_not_name_stays_refused(
    places: Places, made: AcceptedStore, record: Record, error_of: Error
) -> None:
    places.registry.write_bytes(b"plugins: [evil]\n")
    accept(made, record, {places.config: b"name: b\n"})
    assert [one["file"] for one in error_of(made.check).details["differences"]] == ["registry.yaml"]
    assert places.registry.read_bytes() == b"plugins: [evil]\n"


def test_a_removed_overlay_can_be_accepted(places: Places, made: AcceptedStore, record: Record) -> None:
    overlay = places.policy / "personal.yaml"
    accept(made, record, {overlay: b"pack_id: personal\n"})
    accept(made, record, {overlay: None})
    assert not overlay.exists()
    assert "policy/personal.yaml" not in made.check().files
    accept(made, record, {overlay: b"pack_id: personal\n"})
    overlay.unlink()
    accept(made, record, {overlay: None})
    made.check()


def test_what_was_swapped_in_while_the_person_read_is_never_accepted(
    places: Places, made: AcceptedStore, record: Record, error_of: Error
) -> None:
    places.registry.write_bytes(b"plugins: [harmless]\n")
    shown = made.proposed()
    places.registry.write_bytes(b"plugins: [harmfull]\n")
    refused = error_of(accept, made, record, {places.registry: shown.files["registry.yaml"]}, based_on=shown)
    assert refused.id == "WORKSPACE_MOVED"
    assert made.current() == shown.accepted
    assert len(record.entries) == 1
    assert error_of(made.check).id == "WORKSPACE_CHANGED"
    assert places.registry.read_bytes() == b"plugins: [harmfull]\n"


def test_a_decision_on_a_state_that_is_gone_changes_nothing(
    places: Places, made: AcceptedStore, record: Record, error_of: Error
) -> None:
    mine, theirs = made.proposed(), made.proposed()
    accept(made, record, {places.registry: b"plugins: [theirs]\n"}, based_on=theirs)
    assert (
        error_of(accept, made, record, {places.registry: b"plugins: [mine]\n"}, based_on=mine).id == "WORKSPACE_MOVED"
    )
    assert made.check().files["registry.yaml"] == b"plugins: [theirs]\n"
    assert len(record.entries) == 2


def test_a_change_that_cannot_be_recorded_is_not_made(
    places: Places, made: AcceptedStore, record: Record, error_of: Error
) -> None:
    before = made.check()
    record.broken = True
    assert error_of(accept, made, record, {places.config: b"name: b\n"}).id == "AUDIT_UNAVAILABLE"
    assert made.check() == before
    record.broken = False
    assert made.recover(record.append, record.seen) is False
    accept(made, record, {places.config: b"name: c\n"})
    assert made.check().files["config.yaml"] == b"name: c\n"


def test_only_files_that_people_accept_can_be_changed(places: Places, made: AcceptedStore, record: Record) -> None:
    for path in (
        places.audit_log,
        places.policy / "x/y.yaml",
        places.home / "../x",
        places.policy / "..yaml",
        Path("/x"),
    ):
        with pytest.raises(ValueError, match=r"accept|subpath"):
            accept(made, record, {path: b"x"})
    made.check()


@pytest.mark.parametrize("path", ["relative", "", "/srv/caf\udce9", "/srv/\x1b[2J"])
def test_a_folder_that_cannot_be_written_down_is_refused(
    made: AcceptedStore, record: Record, error_of: Error, path: str
) -> None:
    before = made.check()
    assert error_of(accept, made, record, {}, folders={"cloned-x": {"docs": path}}).id == "FOLDER_UNSAFE"
    assert made.check() == before


def test_a_folder_turned_into_a_link_is_not_written_through(
    places: Places, made: AcceptedStore, record: Record, error_of: Error, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    places.policy.rmdir()
    places.policy.symlink_to(tmp_path / "elsewhere")
    assert error_of(accept, made, record, {places.policy / "personal.yaml": b"x: 1\n"}).id == "FILE_UNSAFE"
    assert not list((tmp_path / "elsewhere").iterdir())


def test_the_record_of_one_workspace_says_nothing_of_a_copy(
    places: Places, user: UserPlaces, clock: Any, made: AcceptedStore, error_of: Error
) -> None:
    made.check()
    copy = Places(places.root.parent / "copy")
    copy.root.mkdir()
    copy.prepare()
    for path in (places.config, places.registry, places.lock):
        (copy.home / path.name).write_bytes(path.read_bytes())
    assert error_of(AcceptedStore(copy, user, clock, "an-id").check).id == "WORKSPACE_NOT_ACCEPTED"
    assert error_of(AcceptedStore(places, user, clock, "another-id").check).id == "WORKSPACE_NOT_ACCEPTED"


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b'{"change_id": 1}', b"\xff", b"[" * 100_000])
def test_a_damaged_record_is_refused(
    places: Places, user: UserPlaces, made: AcceptedStore, error_of: Error, data: bytes
) -> None:
    (user.workspace_state(places.root, "an-id") / "accepted.json").write_bytes(data)
    assert error_of(made.check).id == "WORKSPACE_NOT_ACCEPTED"


def test_the_users_record_is_private(places: Places, user: UserPlaces, made: AcceptedStore) -> None:
    state = user.workspace_state(places.root, "an-id")
    assert state.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in state.iterdir()} == {"accepted.json": 0o600}


def test_the_difference_shows_every_line_whatever_its_length(places: Places, made: AcceptedStore) -> None:
    places.config.write_bytes(b"name: a\nx: " + b" " * 5000 + b"evil\n")
    assert made.difference()[0].lines[-2].endswith("evil")
    places.config.write_bytes(b"".join(b"line%d: 1\n" % number for number in range(5000)))
    lines = made.difference()[0].lines
    assert lines[0] == "-(2 lines)"
    assert lines[1:5001] == tuple(f"+line{number}: 1" for number in range(5000))


@pytest.mark.parametrize("data", [b"name: a", b"name: a\r\n", b"\xef\xbb\xbfname: a\n", b"name: \xff\n", b""])
def test_a_difference_of_endings_marks_or_bad_bytes_is_shown(places: Places, made: AcceptedStore, data: bytes) -> None:
    places.config.write_bytes(data)
    assert made.difference()[0].lines


def test_the_fingerprint_moves_with_every_file_that_a_judgement_depends_on(
    places: Places, user: UserPlaces, made: AcceptedStore, record: Record
) -> None:
    private_folder(user.publishers)
    (user.publishers / "acme.json").write_bytes(b"{}")
    user.revocations.write_bytes(b"{}")
    accept(made, record, {places.policy / "personal.yaml": b"x: 1\n"})
    moves: list[Callable[[], object]] = [
        lambda: places.config.write_bytes(b"name: b\n"),
        places.registry.unlink,
        lambda: places.lock.replace(places.home / "x"),
        lambda: (places.policy / "personal.yaml").write_bytes(b"x: 22\n"),
        (places.policy / "other.yaml").touch,
        (places.trust / "acme.json").touch,
        (user.publishers / "acme.json").unlink,
        (user.publishers / "other.json").touch,
        user.revocations.unlink,
        (user.workspace_state(places.root, "an-id") / "accepted.json").unlink,
    ]
    seen = {made.fingerprint()}
    assert made.fingerprint() in seen
    for number, move in enumerate(moves, 2):
        move()
        seen.add(made.fingerprint())
        assert len(seen) == number


def test_a_file_replaced_by_one_of_the_same_size_and_time_moves_the_fingerprint(
    places: Places, made: AcceptedStore
) -> None:
    before, stat = made.fingerprint(), places.config.stat()
    fresh = places.home / "fresh"
    fresh.write_bytes(b"name: z\n")
    os.utime(fresh, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    fresh.replace(places.config)
    assert made.fingerprint() != before
