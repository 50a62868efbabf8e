"""Find and open documents below a granted folder. Everything in such a folder is hostile.

Owns the limits of a walk. Follows no link, opens regular files alone, never leaves the folder: each path is opened
segment by segment from the folder's own descriptor.
"""

import os
import stat
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from errno import ELOOP, ENOENT, ENOTDIR
from pathlib import Path, PurePosixPath
from unicodedata import category

MAX_FILE_BYTES = 5 * 1024 * 1024
MAX_FILES = 2_000
MAX_TOTAL_BYTES = 64 * 1024 * 1024
"""Text of all documents together; the index lives in a worker's memory."""
MAX_DEPTH = 24
"""Folders below the granted one."""
MAX_ENTRIES = 100_000
"""Directory entries looked at in one walk."""
MAX_PATH_BYTES = 900

KINDS: Mapping[str, str] = {
    **dict.fromkeys((".md", ".markdown", ".mdown"), "markdown"),
    **dict.fromkeys((".txt", ".text", ".rst"), "text"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
}
_BARE_NAMES = frozenset({"README", "LICENSE", "NOTICE", "CHANGES", "CHANGELOG", "CONTRIBUTING", "AUTHORS"})


class Unreadable(Exception):  # noqa: N818 - a fact about one document, told to the caller as its reason
    """A document that cannot be read; `str()` says why, in words for a person."""


class PathRefused(Exception):  # noqa: N818 - as above
    """A path that leads out of the folder or is not plain."""


@dataclass(frozen=True, slots=True)
class Found:
    """A document as the walk saw it. `stamp` changes whenever the file does."""

    folder: str
    path: str
    kind: str
    size: int
    stamp: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something in a folder that is not searched, and why. `path` may be of several files where the reason says so."""

    folder: str
    path: str
    reason: str


@dataclass(slots=True)
class Survey:
    """What the granted folders hold, in a fixed order: by folder, then depth, then name."""

    found: list[Found] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    other_files: int = 0
    entries: int = 0
    size: int = 0


def kind_of(name: str) -> str | None:
    """markdown, text or html by a file's name; None for anything that is no document here."""
    return "text" if name in _BARE_NAMES else KINDS.get(PurePosixPath(name).suffix.lower())


def survey(granted: Mapping[str, Path]) -> Survey:
    """Walk every granted folder. Nearer the top comes first, so that a limit cuts off what lies deepest."""
    result = Survey()
    for folder in sorted(granted):
        try:
            root = os.open(granted[folder], os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            result.skipped.append(Skipped(folder, "", f"the folder cannot be opened: {error.strerror}"))
            continue
        try:
            _walk(root, folder, result)
        finally:
            os.close(root)
    return result


def read(root: Path, path: str) -> bytes:
    """The bytes of a document below a granted folder.

    Raises PathRefused for a path that is not plain, Unreadable for anything but a regular file of at most 5 MiB.
    """
    parts = _plain_parts(path)
    try:
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            descriptor = _open_below(top, parts, os.O_RDONLY | os.O_NONBLOCK)
        finally:
            os.close(top)
    except OSError as error:
        raise Unreadable(_why(error)) from error
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable("not a regular file")
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise Unreadable(_TOO_LARGE)
    return data


_TOO_LARGE = f"larger than {MAX_FILE_BYTES // 1024 // 1024} MiB"


def _plain_parts(path: str) -> tuple[str, ...]:
    parts = tuple(path.split("/"))
    if len(parts) > MAX_DEPTH + 1 or any(not part or part.startswith(".") or "\0" in part for part in parts):
        raise PathRefused(f"{path[:200]!r} is not a plain path below the folder, such as notes/today.md")
    return parts


def _open_below(top: int, parts: tuple[str, ...], flags: int) -> int:
    """Open `parts` below a directory; a link anywhere in it is an error (ELOOP, ENOTDIR)."""
    here = os.dup(top)
    try:
        for part in parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        return os.open(parts[-1], flags | os.O_NOFOLLOW, dir_fd=here) if parts else os.dup(here)
    finally:
        os.close(here)


def _walk(root: int, folder: str, result: Survey) -> None:
    waiting: deque[tuple[str, ...]] = deque([()])
    while waiting:
        parts = waiting.popleft()
        shown = "/".join(parts)
        if len(parts) > MAX_DEPTH:
            result.skipped.append(Skipped(folder, shown, f"more than {MAX_DEPTH} folders deep"))
            continue
        try:
            for entry in _entries(root, parts):
                result.entries += 1
                if result.entries > MAX_ENTRIES:
                    reason = f"the walk ends after {MAX_ENTRIES} entries; grant a smaller folder"
                    result.skipped.append(Skipped(folder, shown, reason))
                    return
                if _take(entry, folder, parts, result):
                    waiting.append((*parts, entry.name))
        except OSError as error:
            result.skipped.append(Skipped(folder, shown, _why(error)))


def _entries(root: int, parts: tuple[str, ...]) -> Iterator["os.DirEntry[str]"]:
    descriptor = _open_below(root, parts, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with os.scandir(descriptor) as entries:
            # An endless folder is cut before it is sorted.
            seen = [entry for entry, _ in zip(entries, range(MAX_ENTRIES + 1), strict=False)]
        yield from sorted(seen, key=lambda entry: entry.name)
    finally:
        os.close(descriptor)


def _take(entry: "os.DirEntry[str]", folder: str, parts: tuple[str, ...], result: Survey) -> bool:
    """Note one entry; whether it is a folder to go into. Hidden names are nobody's documents and are passed over."""
    if entry.name.startswith("."):
        return False
    path = "/".join((*parts, entry.name))
    reason = _name_fault(path)
    if reason is not None:
        result.skipped.append(Skipped(folder, path.encode("utf-8", "backslashreplace").decode()[:200], reason))
        return False
    facts = entry.stat(follow_symlinks=False)
    if stat.S_ISDIR(facts.st_mode):
        return True
    kind = kind_of(entry.name)
    if stat.S_ISREG(facts.st_mode) and kind is None:
        result.other_files += 1
    elif (reason := _fault(facts, result)) is not None:
        result.skipped.append(Skipped(folder, path, reason))
    elif kind is not None:
        stamp = (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        result.found.append(Found(folder, path, kind, facts.st_size, stamp))
        result.size += facts.st_size
    return False


def _name_fault(path: str) -> str | None:
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if len(encoded) > MAX_PATH_BYTES:
        return f"its path is longer than {MAX_PATH_BYTES} bytes"
    # Control, format (bidi, zero-width) and line-separating characters would let a name lie in a citation.
    if any(category(letter) in {"Cc", "Cf", "Zl", "Zp"} for letter in path):
        return "its name holds invisible characters"
    return None


def _fault(facts: os.stat_result, result: Survey) -> str | None:
    if stat.S_ISLNK(facts.st_mode):
        return "a link; links are not followed"
    if not stat.S_ISREG(facts.st_mode):
        return "not a regular file"
    if facts.st_size > MAX_FILE_BYTES:
        return _TOO_LARGE
    if len(result.found) >= MAX_FILES:
        return f"over the limit of {MAX_FILES} documents"
    if result.size + facts.st_size > MAX_TOTAL_BYTES:
        return f"over the limit of {MAX_TOTAL_BYTES // 1024 // 1024} MiB in all"
    return None


def _why(error: OSError) -> str:
    if error.errno in _LINK_ERRNOS:
        return "not there as a plain file, or a link on the way; links are not followed"
    return f"cannot be opened: {error.strerror}"


_LINK_ERRNOS = frozenset({ENOENT, ENOTDIR, ELOOP})
