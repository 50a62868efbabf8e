"""Reading and writing at the desk. Refuses links, special files and sizes beyond the limit before reading a byte.

What is written is whole or not there; secrets are never readable by others, not even for a moment.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

from cloned_devkit.mistakes import Mistake

_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def read(path: Path, limit: int, *, private: bool = False) -> bytes:
    """The content of a regular file of at most `limit` bytes; `private` asks that nobody but its owner may read it.

    Raises Mistake: FILE_UNREADABLE, FILE_UNSAFE (a link or no regular file), FILE_TOO_LARGE, KEY_FILE.
    """
    if path.is_symlink():
        raise Mistake("FILE_UNSAFE", f"{path} is a link", "put the file itself there")
    try:
        with open(os.open(path, _READ_FLAGS), "rb") as file:  # noqa: PTH123 - from a descriptor, opened with O_NOFOLLOW
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Mistake("FILE_UNSAFE", f"{path} is no regular file", "put a plain file there")
            if private and status.st_mode & 0o077:
                raise Mistake("KEY_FILE", f"{path} can be read by others", f"run: chmod 600 {path}")
            data = file.read(limit + 1)
    except OSError as error:
        raise Mistake("FILE_UNREADABLE", f"{path}: {error.strerror}") from error
    if len(data) > limit:
        raise Mistake("FILE_TOO_LARGE", f"{path} has more than {limit} bytes")
    return data


def write(path: Path, data: bytes) -> None:
    """Put `data` at `path` at once, in place of what was there. Raises Mistake FILE_UNREADABLE."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_new(draft, data, 0o644)
        draft.replace(path)
    except OSError as error:
        raise Mistake("FILE_UNREADABLE", f"{path} cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def write_new(path: Path, data: bytes, mode: int) -> None:
    """Make a new file. Raises Mistake FILE_EXISTS where there is one of any kind, FILE_UNREADABLE."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_new(path, data, mode)
    except FileExistsError as error:
        raise Mistake("FILE_EXISTS", f"{path} is there already", "choose another folder") from error
    except OSError as error:
        raise Mistake("FILE_UNREADABLE", f"{path} cannot be written: {error.strerror}") from error


def _write_new(path: Path, data: bytes, mode: int) -> None:
    with open(os.open(path, _NEW_FLAGS, mode), "wb") as file:  # noqa: PTH123 - from a descriptor that owns its mode
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
