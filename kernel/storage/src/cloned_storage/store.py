"""The content-addressed store: one read-only folder for each verified wheel. Judges no release; follows no link.

Owns how a release gets in (whole or not at all, whatever is killed when) and how it is read back. Layout:
`sha256-<wheel>/tree/…` holds the wheel's members, `sha256-<wheel>/release.dsse.json` its publisher's signature.
"""

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from cloned_schemas.errors import TrustRefused, Unavailable
from cloned_storage.layout import private_folder
from cloned_trust.release import Release
from cloned_trust.stored import FILE_MODE, FOLDER_MODE, TreeEntry
from cloned_trust.wheelzip import MAX_MEMBER

SIGNATURE = "release.dsse.json"
TREE = "tree"
_TEMPORARY = "tmp-"
_MAX_DEPTH = 100
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

_Seal = tuple[int, int, int, int, int, int]


def read_verified(path: Path, sha256: str) -> bytes:
    """The bytes of a file of the store. Raises TrustRefused TREE_MISMATCH unless they are those that were signed."""
    data = _content(path)
    if data is None or hashlib.sha256(data).hexdigest() != sha256:
        raise TrustRefused("TREE_MISMATCH", f"{path} is not what its publisher signed")
    return data


class Store:
    """The store in `root`, shared by all processes of a user. A process hashes a file once, and again if it moved."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._hashed: dict[tuple[str, str], tuple[_Seal, str]] = {}

    def folder(self, wheel_sha256: str) -> Path:
        """Where a wheel's release lies, or would lie. Raises ValueError for what is no digest."""
        if not re.fullmatch(r"[0-9a-f]{64}", wheel_sha256):
            raise ValueError(f"{wheel_sha256!r} is not a SHA-256 in hex")
        return self.root / f"sha256-{wheel_sha256}"

    def tree(self, wheel_sha256: str) -> Path:
        """The folder that holds the wheel's members."""
        return self.folder(wheel_sha256) / TREE

    def signature(self, wheel_sha256: str) -> bytes | None:
        """The publisher's signature file as it lies there; None where it cannot be read."""
        return _content(self.folder(wheel_sha256) / SIGNATURE)

    def member(self, wheel_sha256: str, path: str) -> bytes:
        """A member as it lies there, to be judged; empty where it cannot be read."""
        return _content(self.tree(wheel_sha256) / path) or b""

    def entries(self, wheel_sha256: str) -> tuple[TreeEntry, ...]:
        """Everything below the release's tree, by lstat, each file hashed unless it lies exactly as it was hashed.

        Raises TrustRefused: STORE_MISSING; STORE_MODE for another owner's folder; TREE_MISMATCH for one that is not as
        the store makes it.
        """
        with self._opened(wheel_sha256) as tree:
            try:
                return tuple(self._walk(tree, wheel_sha256, ""))
            except OSError as error:
                where = f"{self.tree(wheel_sha256)}: {error.strerror}"
                raise TrustRefused("TREE_MISMATCH", f"the store cannot be read at {where}") from error

    def wheels(self) -> tuple[str, ...]:
        """The digests of the wheels that are here, verified once, sorted."""
        return tuple(sorted(found.name.removeprefix("sha256-") for found in self.root.glob("sha256-*")))

    def put(self, release: Release, signature: bytes) -> Path:
        """Bring a judged release in, durably, and return its folder. Again is harmless, and mends what was changed.

        Raises Unavailable STORE_UNAVAILABLE where the disk refuses, TrustRefused STORE_MODE where others may write.
        """
        place = self.folder(release.wheel_sha256)
        with self._writing():
            if not self._holds(release, signature):
                fresh = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self.root))
                _fill(fresh, release, signature)
                self._set_aside(place)
                fresh.rename(place)
                sys.audit("cloned.step", "install.renamed")
                _sync(self.root)
                sys.audit("cloned.step", "install.durable")
        return place

    def remove(self, wheel_sha256: str) -> None:
        """Take a release out; nothing happens where there is none. Raises what `put` raises."""
        with self._writing():
            self._set_aside(self.folder(wheel_sha256))

    def _holds(self, release: Release, signature: bytes) -> bool:
        wheel = release.wheel_sha256
        if not os.path.lexists(self.folder(wheel)) or self.signature(wheel) != signature:
            return False
        try:
            found = self.entries(wheel)
        except TrustRefused:
            return False
        wanted = {TreeEntry(one.path, "file", one.size, one.sha256, FILE_MODE) for one in release.members}
        names = {str(parent) for one in release.members for parent in PurePosixPath(one.path).parents} - {"."}
        folders = {entry.path for entry in found if entry.kind == "dir" and entry.mode == FOLDER_MODE}
        return folders == names and {entry for entry in found if entry.kind != "dir"} == wanted

    def _set_aside(self, place: Path) -> None:
        if os.path.lexists(place):
            place.rename(self.root / f"{_TEMPORARY}{secrets.token_hex(8)}")
            sys.audit("cloned.step", "install.aside")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the store's lock; then sweep out what was set aside, and what a killed install had left."""
        private_folder(self.root)
        try:
            with (self.root / ".lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                sys.audit("cloned.step", "install.locked")
                try:
                    yield
                finally:
                    self._sweep()
        except OSError as error:
            raise Unavailable("STORE_UNAVAILABLE", f"cannot write in {self.root}: {error.strerror}") from error

    def _sweep(self) -> None:
        for left in self.root.glob(f"{_TEMPORARY}*"):
            _discard(left)

    @contextmanager
    def _opened(self, wheel_sha256: str) -> Iterator[int]:
        folder = self.folder(wheel_sha256)
        try:
            release = os.open(folder, _FOLDER_FLAGS)
        except OSError as error:
            raise TrustRefused("STORE_MISSING", f"{folder} is not there") from error
        try:
            _as_made(release, folder)
            tree = os.open(TREE, _FOLDER_FLAGS, dir_fd=release)
        except OSError as error:
            raise TrustRefused("TREE_MISMATCH", f"{folder / TREE} is not a folder that can be read") from error
        finally:
            os.close(release)
        try:
            _as_made(tree, folder / TREE)
            yield tree
        finally:
            os.close(tree)

    def _walk(self, folder: int, wheel: str, prefix: str) -> Iterator[TreeEntry]:
        for name in sorted(os.listdir(folder)):
            path, found = prefix + name, os.stat(name, dir_fd=folder, follow_symlinks=False)
            mode = stat.S_IMODE(found.st_mode)
            if stat.S_ISREG(found.st_mode):
                yield TreeEntry(path, "file", found.st_size, self._digest(folder, name, (wheel, path), found), mode)
            elif stat.S_ISDIR(found.st_mode) and path.count("/") < _MAX_DEPTH:
                yield TreeEntry(path, "dir", 0, None, mode)
                below = os.open(name, _FOLDER_FLAGS, dir_fd=folder)
                try:
                    yield from self._walk(below, wheel, f"{path}/")
                finally:
                    os.close(below)
            else:
                yield TreeEntry(path, "link" if stat.S_ISLNK(found.st_mode) else "other", 0, None, mode)

    def _digest(self, folder: int, name: str, key: tuple[str, str], found: os.stat_result) -> str:
        known = self._hashed.get(key)
        if known and known[0] == _seal(found):
            return known[1]
        with os.fdopen(os.open(name, _FILE_FLAGS, dir_fd=folder), "rb", buffering=0) as file:
            before = os.fstat(file.fileno())
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            if _seal(before) == _seal(found) == _seal(os.fstat(file.fileno())):
                self._hashed[key] = (_seal(found), sha256)
        return sha256


def _seal(found: os.stat_result) -> _Seal:
    """What moves when a file is written, replaced or given another mode."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode


def _as_made(folder: int, place: Path) -> None:
    found = os.fstat(folder)
    if found.st_uid not in (os.geteuid(), 0):
        raise TrustRefused("STORE_MODE", f"{place} belongs to user {found.st_uid}")
    if stat.S_IMODE(found.st_mode) != FOLDER_MODE:
        mode = f"{stat.S_IMODE(found.st_mode):04o} instead of {FOLDER_MODE:04o}"
        raise TrustRefused("TREE_MISMATCH", f"the mode of {place} is {mode}")


def _content(path: Path) -> bytes | None:
    try:
        with os.fdopen(os.open(path, _FILE_FLAGS), "rb") as file:
            return file.read(MAX_MEMBER + 1)
    except OSError:
        return None  # whoever asked judges by digest, and nothing has no digest


def _fill(folder: Path, release: Release, signature: bytes) -> None:
    tree = folder / TREE
    made = {folder, tree}
    tree.mkdir()
    for member in release.members:
        path = tree / member.path
        if ".." in path.parts or not path.is_relative_to(
            tree
        ):  # the gate refused it already; a store does not rely on it
            raise ValueError(f"{member.path!r} leads out of the store")
        path.parent.mkdir(parents=True, exist_ok=True)
        made.update(parent for parent in path.parents if parent.is_relative_to(tree))
        _write(path, member.data)
    sys.audit("cloned.step", "install.unpacked")
    _write(folder / SIGNATURE, signature)
    for path in sorted(made, key=lambda path: len(path.parts), reverse=True):
        path.chmod(FOLDER_MODE)
        _sync(path)
    sys.audit("cloned.step", "install.sealed")


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(descriptor, FILE_MODE)
        os.fsync(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, _FOLDER_FLAGS)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        place.chmod(0o700)
        for folder, names, _ in os.walk(place):
            for path in (Path(folder) / name for name in names):
                if not path.is_symlink():
                    path.chmod(0o700)
        shutil.rmtree(place)
    else:
        place.unlink()
