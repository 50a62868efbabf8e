"""The vault's files on disk: key, table, lock. Reads them only where nobody else can, and writes them durably."""

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cloned_sdk.host import Refused
from cloned_vault_file.sealed import KEY_BYTES

MAX_BYTES = 16 * 1024 * 1024
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Places:
    """The files within one folder that the host gave, 0700."""

    folder: Path

    @property
    def key(self) -> Path:
        """32 random bytes, 0600."""
        return self.folder / "vault.key"

    @property
    def table(self) -> Path:
        """The sealed secrets, 0600."""
        return self.folder / "vault.json"

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer, over all processes and threads, until the block ends."""
        with _translated():
            descriptor = os.open(
                self.folder / "vault.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def read_table(self) -> bytes | None:
        """The table's bytes, None where nothing was ever kept."""
        return _read(self.table)

    def write_table(self, data: bytes) -> None:
        """Put the table in the place of the old one, durably, in one instant."""
        _write(self.table, data)

    def read_key(self) -> bytes | None:
        """The key, None where there is none. Raises Refused VAULT_DAMAGED for one of another length."""
        key = _read(self.key)
        if key is not None and len(key) != KEY_BYTES:
            raise Refused("VAULT_DAMAGED", f"the key of the file vault has {len(key)} bytes instead of {KEY_BYTES}")
        return key

    def make_key(self) -> bytes:
        """A new key, durable before it is used. Only ever called by a writer that found neither key nor table."""
        key = secrets.token_bytes(KEY_BYTES)
        _write(self.key, key)
        return key


def _read(path: Path) -> bytes | None:
    with _translated():
        try:
            descriptor = os.open(path, _READ)
        except FileNotFoundError:
            return None
        told = os.fstat(descriptor)
        if not stat.S_ISREG(told.st_mode) or told.st_uid != os.geteuid() or told.st_mode & OTHERS:
            os.close(descriptor)
            raise Refused(
                "VAULT_DAMAGED",
                f"{path.name} of the file vault is not a file that its owner alone can read",
                repair=f"look who may have read it, then run 'chmod 600 {path}' and replace the secrets in it",
            )
        with os.fdopen(descriptor, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise Refused("VAULT_DAMAGED", f"{path.name} of the file vault is larger than any that was written")
    return data


def _write(path: Path, data: bytes) -> None:
    """Write aside, sync, rename, sync the folder: a reader sees the old bytes or the new, even after a power cut."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with _translated():
        try:
            with os.fdopen(os.open(aside, _NEW, 0o600), "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            aside.rename(path)
        finally:
            aside.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refused("VAULT_UNREACHABLE", f"the file vault cannot be used: {error.strerror}") from error
