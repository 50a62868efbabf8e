"""Names inside an archive. Refuses those that two systems could unpack to two places, and those that leave the root.

Stricter than any one system: what is unpacked must be the same tree on Linux, macOS and Windows.
"""

import re

from cloned_trust.verdict import Refusal

MAX_NAME = 400
MAX_SEGMENT = 200

# Printable ASCII without what Windows refuses or reinterprets: " * : < > ? \ |
_ALLOWED = re.compile(rb"[ !#-)+-9;=@-\[\]-{}~]+")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)( *\..*)?", re.IGNORECASE)


def decode(raw: bytes) -> str:
    """A member's name, `/` between segments, a trailing one for a directory. Raises Refusal: ZIP_NAME."""
    name = raw.decode("latin-1")
    if len(raw) > MAX_NAME:
        raise Refusal("ZIP_NAME", name, f"a name of {len(raw)} characters, at most {MAX_NAME} are read")
    if not _ALLOWED.fullmatch(raw):
        raise Refusal("ZIP_NAME", name, 'only printable ASCII without \\ : * ? " < > | may stand in a name')
    for segment in name.removesuffix("/").split("/"):
        _refuse_segment(name, segment)
    return name


def _refuse_segment(name: str, segment: str) -> None:
    if segment in {"", ".", ".."}:
        raise Refusal("ZIP_NAME", name, "an absolute name, an empty segment, '.' or '..' may lead out of the root")
    if segment[0] == " " or segment[-1] in " .":
        raise Refusal("ZIP_NAME", name, "a segment that begins or ends with a space, or ends with a dot, is renamed")
    if len(segment) > MAX_SEGMENT or _DEVICE.fullmatch(segment):
        raise Refusal("ZIP_NAME", name, "a segment is too long or the name of a device")


class NameSet:
    """The names met so far. Refuses one that meets another on a file system that ignores case."""

    __slots__ = ("_files", "_folders", "_members")

    def __init__(self) -> None:
        self._members: set[str] = set()
        self._files: set[str] = set()
        self._folders: dict[str, str] = {}

    def add(self, name: str) -> None:
        """Take in a member's name. Raises Refusal: ZIP_DUPLICATE, also where one is a file and a directory."""
        path, is_file = name.removesuffix("/"), not name.endswith("/")
        key = path.casefold()
        if key in self._members or (is_file and key in self._folders):
            raise Refusal("ZIP_DUPLICATE", name, "the name stands twice, be it in another case or as a directory")
        self._members.add(key)
        if is_file:
            self._files.add(key)
        parts = path.split("/")
        for length in range(1, len(parts) + (0 if is_file else 1)):
            self._add_folder(name, "/".join(parts[:length]))

    def _add_folder(self, name: str, folder: str) -> None:
        key = folder.casefold()
        if key in self._files or self._folders.setdefault(key, folder) != folder:
            raise Refusal("ZIP_DUPLICATE", name, f"{folder} is a file too, or is written in another case elsewhere")
