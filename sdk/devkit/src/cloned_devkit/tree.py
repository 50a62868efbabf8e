"""The files of a plugin's package, read from its source tree. Refuses links and whatever no plugin may ship.

Hidden files and folders, and Python's own `__pycache__` folders, are left out and named, so that nobody wonders.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cloned_devkit import files
from cloned_devkit.mistakes import Mistake
from cloned_trust.wheelzip import MAX_MEMBER, MAX_MEMBERS, MAX_TOTAL

_CACHES = {"__pycache__"}
_BY_OTHER_TOOLS = (".egg-info", ".dist-info")


@dataclass(frozen=True, slots=True)
class Tree:
    """The content of each file by its path in the wheel, sorted; and the paths that were left out, sorted."""

    files: dict[str, bytes]
    left_out: tuple[str, ...]


def package(project: Path, name: str) -> Tree:
    """The package `name` below `project`/src, and nothing else there.

    Raises Mistake: MISSING_FILE, TOPLEVEL_NOT_OWNED, FILE_UNSAFE, FILE_UNREADABLE, FILE_TOO_LARGE, FORBIDDEN_MEMBER.
    """
    source = project / "src"
    if source.is_symlink() or not (source / name).is_dir():
        raise Mistake("MISSING_FILE", f"{source / name} is not a folder", f"put the plugin's files below src/{name}")
    left_out: list[str] = []
    found = {path: files.read(source / path, MAX_MEMBER) for path in _walk(source, name, left_out)}
    if not found:
        raise Mistake("MISSING_FILE", f"{source / name} holds no file", f"put the plugin's files below src/{name}")
    if len(found) > MAX_MEMBERS or sum(map(len, found.values())) > MAX_TOTAL:
        raise Mistake("FILE_TOO_LARGE", f"{source / name} has more than {MAX_MEMBERS} files or {MAX_TOTAL} bytes")
    return Tree(dict(sorted(found.items())), tuple(sorted(left_out)))


def _walk(source: Path, name: str, left_out: list[str]) -> Iterator[str]:
    """Paths of files relative to `source`, in no order; what is left out is added to the list."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        for entry in _entries(source / folder):
            path = f"{folder}{entry.name}"
            if entry.name.startswith(".") or (entry.name in _CACHES and entry.is_dir(follow_symlinks=False)):
                left_out.append(path)
            elif not folder and entry.name != name:
                _judge_neighbour(path, name, left_out)
            elif entry.is_symlink():
                raise Mistake("FILE_UNSAFE", f"src/{path} is a link", "put the file itself there")
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(f"{path}/")
            else:
                yield _shippable(path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise Mistake("FILE_UNREADABLE", f"{folder}: {error.strerror}") from error


def _judge_neighbour(path: str, name: str, left_out: list[str]) -> None:
    """What stands in src/ beside the package."""
    if not path.endswith(_BY_OTHER_TOOLS):
        raise Mistake("TOPLEVEL_NOT_OWNED", f"src/{path} is not part of {name}", f"move it below src/{name}")
    left_out.append(path)


def _shippable(path: str) -> str:
    if path.endswith((".pyc", ".pyo")):
        repair = f"remove src/{path}; Cloned compiles the sources itself"
        raise Mistake("FORBIDDEN_MEMBER", f"src/{path} is compiled Python, which nobody can read", repair)
    if path.endswith((".pth", ".egg-link")):
        repair = f"remove src/{path}; nothing of a plugin runs at the start of Python"
        raise Mistake("FORBIDDEN_MEMBER", f"src/{path} would run at every start of Python", repair)
    return path
