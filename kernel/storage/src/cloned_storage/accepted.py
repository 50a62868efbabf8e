"""What a person last accepted, which alone is in force, and the journalled change of it. Judges no content.

Files in `.cloned` are proposals. A change is one record in the user's state: once it is written there the change will
happen, whatever ends this process; until then nothing has. `sys.audit` announces each step for crash tests.
"""

import difflib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from cloned_schemas.errors import ClonedError, TrustRefused, Unavailable, UserMistake
from cloned_storage.clock import Clock, timestamp, uuid7
from cloned_storage.files import UNFINISHED, locked, printable, read_bytes, sync_folder, write_atomic
from cloned_storage.layout import Places, UserPlaces, private_folder

Append = Callable[[str, dict[str, Any], str], None]
"""Writes an audit entry (kind, details, change id) that is durable when it returns."""

_FILES = ("config.yaml", "registry.yaml", "plugins.lock.json")
_OVERLAY = re.compile(r"[a-z][a-z0-9_-]{0,59}\.yaml")
_LEFT_OVER = re.compile(
    rf"\.(?:[a-z0-9_.-]+\.(?:yaml|lock\.json)|(?:accepted|change)\.json)\.[0-9a-f]{{16}}\{UNFINISHED}"
)
_MAX_OVERLAYS = 64
_MAX_COMPARED_LINES = 1000
_MAX_STATE_BYTES = 64 << 20
_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True)
class Accepted:
    """`files`: name below `.cloned` → the very bytes accepted. `folders`: plugin id → granted name → absolute path."""

    change_id: str
    at: str
    files: dict[str, bytes]
    folders: dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Difference:
    """A file that is not as accepted, with the unified difference, printable and uncut: a person decides by it."""

    file: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proposed:
    """What was accepted and what the files say instead, read at one moment. A decision is about one such value."""

    accepted: Accepted | None
    files: dict[str, bytes]

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The files that differ, by name; every file where nothing was accepted yet."""
        before = self.accepted.files if self.accepted else {}
        names = sorted(name for name in before | self.files if before.get(name) != self.files.get(name))
        return tuple(Difference(name, _compared(name, before.get(name), self.files.get(name))) for name in names)


@dataclass(frozen=True, slots=True)
class _Change:
    """A change on its way: what is accepted afterwards, the files it writes, and what the audit is told."""

    accepted: Accepted
    writes: list[str]
    kind: str
    details: dict[str, Any]


class AcceptedStore:
    """The accepted state of one workspace on this machine. Thread-safe, and safe beside other processes."""

    def __init__(self, places: Places, user: UserPlaces, clock: Clock, workspace_id: str) -> None:
        self._places, self._user, self._clock = places, user, clock
        self._state = user.workspace_state(places.root, workspace_id)
        self._accepted, self._journal = self._state / "accepted.json", self._state / "change.json"
        self._lock = places.run / "change.lock"
        proposals = (places.config, places.registry, places.lock)
        self._single = tuple(map(str, (*proposals, self._accepted, self._journal, user.revocations)))
        self._folders = tuple(map(str, (places.policy, places.trust, user.publishers)))

    def current(self) -> Accepted | None:
        """What is accepted now; None where nothing is. Raises WORKSPACE_NOT_ACCEPTED for a damaged record."""
        return _decoded(self._accepted, Accepted) if self._accepted.exists() else None

    def proposed(self) -> Proposed:
        """The accepted state and the files as they stand, never half of a change. Raises CHANGE_UNFINISHED, FILE_*."""
        with locked(self._lock, shared=True):
            return self._look()

    def difference(self) -> tuple[Difference, ...]:
        """What differs from what was accepted."""
        return self.proposed().differences

    def check(self) -> Accepted:
        """What is in force: judge by these bytes, not by the files, which may change a moment later.

        Raises TrustRefused WORKSPACE_NOT_ACCEPTED, or WORKSPACE_CHANGED with the differences in its details.
        """
        found = self.proposed()
        if found.accepted is None:
            raise TrustRefused("WORKSPACE_NOT_ACCEPTED", f"nobody accepted {self._places.home} on this machine")
        if differences := found.differences:
            fact = f"{', '.join(one.file for one in differences)} in {self._places.home} is not as accepted"
            shown = [{"file": one.file, "lines": list(one.lines)} for one in differences]
            raise TrustRefused("WORKSPACE_CHANGED", fact, details={"differences": shown})
        return found.accepted

    def fingerprint(self) -> tuple[object, ...]:
        """What moves whenever a file that a judgement depends on does; a few dozen stats, no reading.

        It holds the time of the inode's last change, which nobody can set.
        """
        inside = (f"{folder}/{name}" for folder in self._folders for name in _names(folder))
        return (*map(_stamp, self._single), *map(_stamp, inside))

    def change(
        self, files: Mapping[Path, bytes | None], folders: Mapping[str, Mapping[str, str]] | None, kind: str,
        details: dict[str, Any], append: Append, *, based_on: Proposed,
    ) -> Accepted:  # fmt: skip
        """Put files (None: without it) and folders (None: as they are) in force, whole or not at all, and on record.

        `based_on` is what the person decided on; files not named stay as accepted. Raises WORKSPACE_MOVED where that
        changed since, CHANGE_UNFINISHED, FOLDER_UNSAFE, WORKSPACE_READ_ONLY, or as `append`: then nothing changed.
        """
        self._places.admit()
        names = {self._name(path): data for path, data in files.items()}
        private_folder(self._state)
        with locked(self._lock):
            if self._look() != based_on:
                raise Unavailable("WORKSPACE_MOVED", f"{self._places.home} changed while the change was being decided")
            before = based_on.accepted or Accepted("", "", {}, {})
            after = {name: data for name, data in (before.files | names).items() if data is not None}
            lent = before.folders if folders is None else _encodable(folders)
            accepted = Accepted(uuid7(self._clock), timestamp(self._clock.now()), after, lent)
            change = _Change(accepted, sorted(names), kind, details)
            write_atomic(self._journal, msgspec.json.encode(change))
            sys.audit("cloned.step", "change.journaled")
            try:
                append(kind, details, accepted.change_id)
            except ClonedError:
                self._forget()
                raise
            sys.audit("cloned.step", "change.audited")
            self._carry_out(change)
        return accepted

    def recover(self, append: Append, seen: Callable[[str], bool]) -> bool:
        """Finish a killed process's change; whether there was one. `seen` tells whether the audit has its entry."""
        left = [found for found in self._left_over() if _LEFT_OVER.fullmatch(found.name)]
        if not left and not self._journal.exists():
            return False
        with locked(self._lock):
            for found in left:
                found.unlink(missing_ok=True)
            if not self._journal.exists():
                return False
            change = _decoded(self._journal, _Change)
            if not seen(change.accepted.change_id):
                append(change.kind, change.details, change.accepted.change_id)
            sys.audit("cloned.step", "change.audited")
            self._carry_out(change)
        return True

    def _left_over(self) -> Iterator[Path]:
        for folder in (self._state, self._places.home, self._places.policy):
            yield from folder.glob("*" + UNFINISHED)

    def _carry_out(self, change: _Change) -> None:
        for name in change.writes:
            data = change.accepted.files.get(name)
            if data is None:
                (self._places.home / name).unlink(missing_ok=True)
            else:
                write_atomic(self._places.home / name, data)
            sys.audit("cloned.step", "change.file")
        write_atomic(self._accepted, msgspec.json.encode(change.accepted))
        sys.audit("cloned.step", "change.accepted")
        self._forget()
        sys.audit("cloned.step", "change.done")

    def _forget(self) -> None:
        self._journal.unlink()
        sync_folder(self._state)

    def _look(self) -> Proposed:
        if self._journal.exists():
            raise Unavailable("CHANGE_UNFINISHED", f"a change of {self._places.home} was cut off")
        overlays = [f"policy/{name}" for name in _names(str(self._places.policy))]
        names = [*_FILES, *(name for name in overlays if _OVERLAY.fullmatch(name, 7))]
        if len(names) > _MAX_OVERLAYS:
            raise UserMistake("FILE_TOO_LARGE", f"{self._places.policy} holds more than {_MAX_OVERLAYS} overlays")
        there = [name for name in names if os.path.lexists(self._places.home / name)]
        return Proposed(self.current(), {name: read_bytes(self._places.home / name) for name in there})

    def _name(self, path: Path) -> str:
        name = path.relative_to(self._places.home).as_posix()
        if name not in _FILES and not (path.parent == self._places.policy and _OVERLAY.fullmatch(path.name)):
            raise ValueError(f"{name} is not a file that people accept")
        return name


def _compared(name: str, before: bytes | None, after: bytes | None) -> tuple[str, ...]:
    old, new = ([] if data is None else data.decode(errors="backslashreplace").split("\n") for data in (before, after))
    if len(old) + len(new) > _MAX_COMPARED_LINES:  # comparing takes quadratic time; then the whole file is shown
        return (f"-({len(old)} lines)", *(f"+{printable(line)}" for line in new))
    compared = difflib.unified_diff(old, new, f"accepted/{name}", f"proposed/{name}", lineterm="")
    return tuple(printable(line) for line in compared)


def _encodable(folders: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    for path in (path for granted in folders.values() for path in granted.values()):
        if not Path(path).is_absolute() or not path.isprintable():
            raise UserMistake("FOLDER_UNSAFE", f"{printable(path)} is not an absolute path of printable characters")
    return {plugin_id: dict(granted) for plugin_id, granted in folders.items()}


def _decoded(path: Path, kind: type[_Record]) -> _Record:
    try:
        return msgspec.json.decode(read_bytes(path, _MAX_STATE_BYTES), type=kind)
    except msgspec.DecodeError as error:
        repair = f"move {path} away and accept the workspace anew"
        raise TrustRefused("WORKSPACE_NOT_ACCEPTED", f"{path} is damaged: {error}", repair=repair) from error


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - at every call; a Path each costs more than the system does
    except OSError:
        return []


def _stamp(path: str) -> tuple[object, ...]:
    try:
        found = os.lstat(path)
    except OSError:
        return (path, None)
    return (path, found.st_ctime_ns, found.st_size, found.st_ino)
