"""The store: a release gets in whole or not at all, and is read back as it lies there."""

import hashlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloned_schemas.errors import ClonedError, TrustRefused, Unavailable
from cloned_storage.store import Store
from cloned_trust.release import Release
from kernel.core.tests.host.bench import ACME, judged
from tests.attacks import forge
from tests.attacks.forge import ForgedRelease

DRIVER = Path(__file__).with_name("install_driver.py")
STEPS = ["install.locked", "install.unpacked", "install.sealed", "install.renamed", "install.durable"]


@pytest.fixture(scope="module")
def forged() -> ForgedRelease:
    return forge.release(ACME)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def start(tmp_path: Path, store: Store, forged: ForgedRelease) -> Callable[..., subprocess.Popen[bytes]]:
    """Start an install of the release in another process."""
    forged.write(tmp_path)
    (tmp_path / "publisher.json").write_text(ACME.record.model_dump_json())

    def run(*how: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(DRIVER), str(store.root), str(tmp_path), forged.wheel_name, *how]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    return run


def left(store: Store) -> list[str]:
    """What lies in the store besides its lock."""
    return sorted(path.name for path in store.root.iterdir() if path.name != ".lock")


def put(store: Store, forged: ForgedRelease) -> Release:
    release = judged(forged)
    store.put(release, forged.signature or b"")
    return release


def test_a_release_lies_there_read_only_as_its_wheel_has_it(store: Store, forged: ForgedRelease) -> None:
    release = put(store, forged)
    tree = store.tree(release.wheel_sha256)
    assert {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()} == {
        member.path for member in release.members
    }
    for member in release.members:
        assert (tree / member.path).read_bytes() == member.data
    for path in (tree.parent, *tree.parent.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o555 if path.is_dir() else 0o444)
    assert store.signature(release.wheel_sha256) == forged.signature
    assert set(store.entries(release.wheel_sha256)) == set(forge.tree(release.members))
    assert store.wheels() == (release.wheel_sha256,)


def test_modes_do_not_depend_on_the_umask(store: Store, forged: ForgedRelease) -> None:
    before = os.umask(0o077)
    try:
        release = put(store, forged)
    finally:
        os.umask(before)
    assert set(store.entries(release.wheel_sha256)) == set(forge.tree(release.members))


def test_putting_it_in_again_changes_nothing(store: Store, forged: ForgedRelease) -> None:
    release = put(store, forged)
    first = store.folder(release.wheel_sha256).stat()
    put(store, forged)
    assert store.folder(release.wheel_sha256).stat() == first
    assert left(store) == [f"sha256-{release.wheel_sha256}"]


@pytest.mark.parametrize("damage", ["byte", "extra", "mode", "signature", "file-for-folder"])
def test_putting_it_in_again_mends_what_was_changed(
    store: Store, forged: ForgedRelease, writable: Callable[[Path], None], damage: str
) -> None:
    release = put(store, forged)
    folder = store.folder(release.wheel_sha256)
    source = folder / "tree/acme_weather/worker.py"
    writable(source)
    if damage == "byte":
        source.write_bytes(forge.flipped(source.read_bytes(), 3))
        source.chmod(0o444)
    elif damage == "extra":
        (source.parent / "more.py").touch()
    elif damage == "signature":
        writable(folder / "release.dsse.json")
        (folder / "release.dsse.json").write_bytes(b"{}")
    elif damage == "file-for-folder":
        folder.rename(store.root / "elsewhere")
        folder.touch()
    put(store, forged)
    assert set(store.entries(release.wheel_sha256)) == set(forge.tree(release.members))
    assert store.signature(release.wheel_sha256) == forged.signature


@pytest.mark.parametrize("step", STEPS)
def test_an_install_killed_at_any_step_leaves_all_or_nothing_and_is_tried_again(
    store: Store, forged: ForgedRelease, start: Callable[..., subprocess.Popen[bytes]], step: str
) -> None:
    with start("kill", step) as killed:
        assert killed.wait() == -signal.SIGKILL
    release = judged(forged)
    if step in STEPS[:3]:
        with pytest.raises(TrustRefused, match="STORE_MISSING"):
            store.entries(release.wheel_sha256)
    else:
        assert set(store.entries(release.wheel_sha256)) == set(forge.tree(release.members))
    put(store, forged)
    assert set(store.entries(release.wheel_sha256)) == set(forge.tree(release.members))
    assert left(store) == [f"sha256-{release.wheel_sha256}"]


def test_a_mending_killed_between_old_and_new_leaves_nothing_that_could_be_loaded(
    store: Store,
    forged: ForgedRelease,
    start: Callable[..., subprocess.Popen[bytes]],
    writable: Callable[[Path], None],
) -> None:
    release = put(store, forged)
    source = store.tree(release.wheel_sha256) / "acme_weather/worker.py"
    writable(source)
    source.write_bytes(b"changed")
    with start("kill", "install.aside") as killed:
        assert killed.wait() == -signal.SIGKILL
    with pytest.raises(TrustRefused, match="STORE_MISSING"):
        store.entries(release.wheel_sha256)
    put(store, forged)
    assert set(store.entries(release.wheel_sha256)) == set(forge.tree(release.members))
    assert left(store) == [f"sha256-{release.wheel_sha256}"]


def test_an_install_that_waits_for_one_that_is_killed_takes_over(
    store: Store, forged: ForgedRelease, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    with start("pause", "install.unpacked") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"install.unpacked\n"  # it holds the store now
        with start() as second:
            first.kill()
            assert second.wait() == 0
    release = judged(forged)
    assert set(store.entries(release.wheel_sha256)) == set(forge.tree(release.members))
    assert left(store) == [f"sha256-{release.wheel_sha256}"]


def test_many_installs_of_one_release_at_once_all_succeed(
    store: Store, forged: ForgedRelease, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    with start() as one, start() as two, start() as three:
        assert [process.wait() for process in (one, two, three)] == [0, 0, 0]
    assert left(store) == [f"sha256-{judged(forged).wheel_sha256}"]


def test_a_file_is_hashed_once_and_again_when_it_moved(
    store: Store, forged: ForgedRelease, writable: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = put(store, forged)
    hashed: list[object] = []
    digest = hashlib.file_digest

    def counted(file: Any, kind: str) -> Any:
        hashed.append(file)
        return digest(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    fresh = Store(store.root)
    first = fresh.entries(release.wheel_sha256)
    assert len(hashed) == len(release.members)
    assert fresh.entries(release.wheel_sha256) == first
    assert len(hashed) == len(release.members)
    source = fresh.tree(release.wheel_sha256) / "acme_weather/worker.py"
    before = source.stat()
    writable(source)
    source.write_bytes(forge.flipped(source.read_bytes(), 0))
    source.chmod(0o444)
    source.parent.chmod(0o555)
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))  # size and time of change are as they were
    changed = set(first) ^ set(fresh.entries(release.wheel_sha256))
    assert {entry.path for entry in changed} == {"acme_weather/worker.py"}
    assert len(hashed) == len(release.members) + 1


def test_links_and_devices_are_told_and_never_followed(
    store: Store, forged: ForgedRelease, writable: Callable[[Path], None], tmp_path: Path
) -> None:
    release = put(store, forged)
    package = store.tree(release.wheel_sha256) / "acme_weather"
    writable(package / "link")
    (package / "link").symlink_to(tmp_path)
    os.mkfifo(package / "pipe")
    kinds = {entry.path: entry.kind for entry in store.entries(release.wheel_sha256)}
    assert (kinds["acme_weather/link"], kinds["acme_weather/pipe"]) == ("link", "other")
    assert not any(path.startswith("acme_weather/link/") for path in kinds)


def test_a_tree_that_is_a_link_is_refused(store: Store, forged: ForgedRelease, tmp_path: Path) -> None:
    release = put(store, forged)
    folder = store.folder(release.wheel_sha256)
    for place in (folder, folder / "tree"):
        place.chmod(0o755)
    (folder / "tree").rename(tmp_path / "elsewhere")
    (folder / "tree").symlink_to(tmp_path / "elsewhere")
    for place in (folder, tmp_path / "elsewhere"):
        place.chmod(0o555)
    with pytest.raises(TrustRefused, match="TREE_MISMATCH"):
        store.entries(release.wheel_sha256)


def test_a_release_folder_that_is_a_link_is_missing(store: Store, forged: ForgedRelease, tmp_path: Path) -> None:
    release = put(store, forged)
    folder = store.folder(release.wheel_sha256)
    folder.chmod(0o755)
    folder.rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").chmod(0o555)
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TrustRefused, match="STORE_MISSING"):
        store.entries(release.wheel_sha256)


@pytest.mark.parametrize("place", ["", "tree"])
def test_a_folder_that_was_made_writable_is_refused(store: Store, forged: ForgedRelease, place: str) -> None:
    release = put(store, forged)
    (store.folder(release.wheel_sha256) / place).chmod(0o755)
    with pytest.raises(TrustRefused, match="TREE_MISMATCH"):
        store.entries(release.wheel_sha256)


def test_a_folder_of_another_user_is_refused(
    store: Store, forged: ForgedRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = put(store, forged)
    if os.geteuid() == 0:
        os.chown(store.folder(release.wheel_sha256), 65534, 65534)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 1)
    with pytest.raises(TrustRefused, match="STORE_MODE"):
        store.entries(release.wheel_sha256)


def test_what_is_removed_is_gone_and_can_come_back(store: Store, forged: ForgedRelease) -> None:
    release = put(store, forged)
    store.remove(release.wheel_sha256)
    store.remove(release.wheel_sha256)
    assert left(store) == []
    put(store, forged)
    assert store.wheels() == (release.wheel_sha256,)


def test_a_store_that_others_may_write_takes_nothing(store: Store, forged: ForgedRelease) -> None:
    store.root.mkdir()
    store.root.chmod(0o777)
    with pytest.raises(TrustRefused, match="STORE_MODE"):
        put(store, forged)
    assert list(store.root.iterdir()) == []


def test_a_disk_that_refuses_is_told_and_leaves_no_part(
    store: Store, forged: ForgedRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="STORE_UNAVAILABLE"):
        put(store, forged)
    monkeypatch.undo()
    assert left(store) == []


def test_a_digest_that_is_none_names_no_folder(store: Store) -> None:
    with pytest.raises(ValueError, match="not a SHA-256"):
        store.folder("../../etc")


def test_every_refusal_is_a_registered_error(store: Store) -> None:
    with pytest.raises(ClonedError) as caught:
        store.entries("0" * 64)
    assert caught.value.spec.exit_code == 5
