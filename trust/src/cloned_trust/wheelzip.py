"""The strict ZIP gate: a wheel's bytes in, its members out. Refuses what two readers could read differently.

Accepted is one form alone: members back to back from byte 0, stored or deflated, each local header equal to its
central one; then the central directory in the same order; then one end record, and nothing after it. No ZIP64, extra
field, comment, data descriptor, encryption, link or device. Source: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.4.
"""

import hashlib
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from cloned_trust import membername
from cloned_trust.verdict import Refusal

MAX_ARCHIVE = 100 << 20
MAX_MEMBERS = 10_000
MAX_MEMBER = 64 << 20
MAX_TOTAL = 256 << 20
MAX_RATIO = 100
RATIO_FREE = 1 << 20
"""A member may inflate to a hundred times its size, or to one MiB whatever its ratio; the total stays bounded."""

STORED, DEFLATED = 0, 8
_WHAT = "wheel"
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSIONS = (10, 20)
_HARMLESS_FLAGS = 0x0806  # UTF-8 name (all names are ASCII) and the two bits that tell how hard deflate tried
_SYSTEMS = (0, 3)  # DOS and Unix
_DOS_VOLUME, _DOS_DIRECTORY = 0x08, 0x10
_SPECIAL_BITS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file of the archive: `size` in bytes, `sha256` in hex.

    `mode` is the permission bits that the archive claims; it is information, the store sets its own.
    """

    path: str
    size: int
    sha256: str
    data: bytes = field(repr=False)
    mode: int = field(default=0o644, compare=False)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One central record. `shared` is what its local header must repeat: version … sizes, as 8 numbers."""

    name: str
    raw_name: bytes
    shared: tuple[int, ...]
    method: int
    crc: int
    packed: int
    size: int
    mode: int

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


def read(data: bytes) -> tuple[Member, ...]:
    """The files of an archive in its order; empty directory entries are allowed and left out.

    Raises Refusal: ZIP_STRUCTURE, ZIP_NAME, ZIP_TYPE, ZIP_DUPLICATE, ZIP_SIZE, ZIP_METHOD or ZIP_CRC. Sizes are judged
    from the directory before anything is inflated, and inflating stops at the declared size.
    """
    if len(data) > MAX_ARCHIVE:
        raise Refusal("ZIP_SIZE", _WHAT, f"{len(data)} bytes, at most {MAX_ARCHIVE} are read")
    count, start = _end_record(data)
    entries = tuple(_central_entries(data, count, start))
    _refuse_sizes(entries)
    members: list[Member] = []
    position = 0
    for entry in entries:
        position = _local_header(data, entry, position, start)
        packed, position = data[position : position + entry.packed], position + entry.packed
        if position > start:
            raise _structure(entry.name, "its data runs into the directory")
        if not entry.is_folder:
            members.append(_member(entry, packed))
    if position != start:
        raise _structure(_WHAT, "there are bytes between the last member and the directory")
    return tuple(members)


def _structure(subject: str, detail: str) -> Refusal:
    return Refusal("ZIP_STRUCTURE", subject, detail)


def _end_record(data: bytes) -> tuple[int, int]:
    """Number of entries and the directory's place. The end record must be the archive's last 22 bytes."""
    end = len(data) - _END.size
    if end < 0:
        raise _structure(_WHAT, "it is too short for an archive")
    magic, disk, first_disk, here, count, size, start, comment = _END.unpack_from(data, end)
    if magic != b"PK\x05\x06" or comment:
        raise _structure(_WHAT, "it does not end with an end record without comment")
    if disk or first_disk or here != count:
        raise _structure(_WHAT, "it claims to be a part of several")
    if start + size != end:
        raise _structure(_WHAT, "the directory does not stand right before the end record, seen from byte 0")
    if not 0 < count <= MAX_MEMBERS:
        raise Refusal("ZIP_SIZE", _WHAT, f"{count} members, 1 to {MAX_MEMBERS} are read")
    return count, start


def _central_entries(data: bytes, count: int, start: int) -> Iterator[_Entry]:
    names, position, end, local = membername.NameSet(), start, len(data) - _END.size, 0
    for _ in range(count):
        if position + _CENTRAL.size > end:
            raise _structure(_WHAT, "the directory is shorter than its number of entries")
        fields = _CENTRAL.unpack_from(data, position)
        position += _CENTRAL.size
        raw_name = data[position : position + fields[10]]
        position += len(raw_name)
        if fields[0] != b"PK\x01\x02" or position > end:
            raise _structure(_WHAT, "the directory holds something else than entries")
        entry = _central_entry(fields, raw_name)
        if fields[16] != local:
            raise _structure(entry.name, "it does not stand right behind the member before it")
        local += _LOCAL.size + len(raw_name) + entry.packed
        names.add(entry.name)
        yield entry
    if position != end:
        raise _structure(_WHAT, "the directory is longer than its number of entries")


def _central_entry(fields: tuple[int, ...], raw_name: bytes) -> _Entry:
    _, made_by, version, flags, method, _, _, crc, packed, size, _, extra, comment, disk, _, attributes, _ = fields
    name = membername.decode(raw_name)
    if extra or comment or disk:
        raise _structure(name, "it has an extra field, a comment or another disk")
    if flags & ~_HARMLESS_FLAGS or version not in _VERSIONS:
        raise _structure(name, "it needs encryption, a data descriptor, ZIP64 or another feature beyond plain ZIP")
    if method not in (STORED, DEFLATED):
        raise Refusal("ZIP_METHOD", name, f"compression method {method}; stored and deflated are read")
    entry = _Entry(name, raw_name, fields[2:10], method, crc, packed, size, attributes >> 16)
    _refuse_type(entry, made_by >> 8, attributes & 0xFFFF)
    if method == STORED and packed != size:
        raise _structure(name, "it is stored, and its two sizes differ")
    return entry


def _refuse_type(entry: _Entry, system: int, dos: int) -> None:
    """Regular files and empty directories alone; a mode without a type bit is what many writers leave."""
    wanted = stat.S_IFDIR if entry.is_folder else stat.S_IFREG
    if stat.S_IFMT(entry.mode) not in (0, wanted) or entry.mode & _SPECIAL_BITS:
        raise Refusal("ZIP_TYPE", entry.name, f"mode {entry.mode:o} is not that of a plain file or directory")
    if system not in _SYSTEMS or dos & _DOS_VOLUME or (dos & _DOS_DIRECTORY and not entry.is_folder):
        raise Refusal("ZIP_TYPE", entry.name, "its attributes are not those of a plain file or directory")
    if entry.is_folder and (entry.packed or entry.size or entry.crc or entry.method != STORED):
        raise Refusal("ZIP_TYPE", entry.name, "a directory entry holds content")


def _refuse_sizes(entries: tuple[_Entry, ...]) -> None:
    for entry in entries:
        if entry.size > MAX_MEMBER or entry.size > max(RATIO_FREE, MAX_RATIO * entry.packed):
            raise Refusal("ZIP_SIZE", entry.name, f"{entry.packed} bytes would become {entry.size}")
    total = sum(entry.size for entry in entries)
    if total > MAX_TOTAL:
        raise Refusal("ZIP_SIZE", _WHAT, f"its members come to {total} bytes, at most {MAX_TOTAL} are read")


def _local_header(data: bytes, entry: _Entry, position: int, end: int) -> int:
    """The place of the member's data, if the local header says what the central one says."""
    begin = position + _LOCAL.size
    place = begin + len(entry.raw_name)
    if place > end:
        raise _structure(entry.name, "its header runs into the directory")
    magic, *shared, name_length, extra = _LOCAL.unpack_from(data, position)
    if magic != b"PK\x03\x04":
        raise _structure(entry.name, "there is no member where the directory says")
    same_name = name_length == len(entry.raw_name) and data[begin:place] == entry.raw_name
    if extra or not same_name or tuple(shared) != entry.shared:
        raise _structure(entry.name, "its local header differs from the directory")
    return place


def _member(entry: _Entry, packed: bytes) -> Member:
    content = packed if entry.method == STORED else _inflate(entry, packed)
    if zlib.crc32(content) != entry.crc:
        raise Refusal("ZIP_CRC", entry.name, "its content does not have the checksum that the directory gives")
    digest = hashlib.sha256(content).hexdigest()
    return Member(entry.name, entry.size, digest, content, stat.S_IMODE(entry.mode))


def _inflate(entry: _Entry, packed: bytes) -> bytes:
    """The deflated data, if it is exactly one stream of the declared size. Never holds more than one byte beyond it."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = stream.decompress(packed, entry.size + 1)
    except zlib.error as error:
        raise _structure(entry.name, "its compressed data is damaged") from error
    if len(content) != entry.size or not stream.eof or stream.unused_data or stream.unconsumed_tail:
        raise _structure(entry.name, "its compressed data is not one stream of the declared size")
    return content
