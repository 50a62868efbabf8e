"""Compare RECORD, byte for byte, with the files that it must list. Reads no file and trusts no line of it."""

import base64
from collections import Counter
from collections.abc import Iterable
from typing import Protocol


class Listed(Protocol):
    """A file as RECORD lists it: `size` in bytes, `sha256` in hex."""

    @property
    def path(self) -> str:
        """Its path in the wheel."""

    @property
    def size(self) -> int:
        """Its length in bytes."""

    @property
    def sha256(self) -> str:
        """Its digest in hex."""


def line(entry: Listed) -> str:
    """The file's line in RECORD, without line feed (PEP 376 and 427: URL-safe base64 without padding)."""
    digest = base64.urlsafe_b64encode(bytes.fromhex(entry.sha256)).decode().rstrip("=")
    return f"{entry.path},sha256={digest},{entry.size}"


def differences(record: bytes, entries: Iterable[Listed], own_path: str) -> tuple[str, ...]:
    """The paths, sorted, about which RECORD is wrong, silent or says too much; `own_path` is RECORD's own.

    The order of lines is free, everything else is exact: no quotes, no carriage returns, each line once.
    """
    text = record.decode("latin-1")
    expected = Counter([*(line(entry) for entry in entries), f"{own_path},,", ""])
    found = Counter(text.split("\n"))
    wrong = {text.split(",")[0] for text in (expected - found) + (found - expected)}
    return tuple(sorted(path or own_path for path in wrong))
