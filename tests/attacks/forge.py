"""Builds releases byte by byte, good and hostile, signed with throw-away keys. Refuses nothing: the gates must.

One release goes through seven stages: files → manifest → RECORD → members → archive → statement → envelope. A `Tweak`
changes what one stage hands to the next, so that every later stage, the signature included, fits the lie.
"""

import base64
import hashlib
import json
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cloned_schemas.trust import Publisher
from cloned_trust import dsse, statement
from cloned_trust.keys import SecretKey
from cloned_trust.statement import Statement
from cloned_trust.stored import TreeEntry
from cloned_trust.wheelzip import Member

STORED, DEFLATED = 0, 8
FILE_MODE, FOLDER_MODE, LINK_MODE = 0o100644, 0o040755, 0o120777
_TIME, _DATE = 0, 33  # 1980-01-01 00:00, the first that ZIP can write
_UNIX, _VERSION = 3, 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One member as it is written. The fields from `flags` on are lies that a good archive does not tell.

    `local` overrides fields of the local header alone (name, version, flags, method, time, date, crc, packed, size,
    extra), `central` the same of the central record alone; `declared_size` and `declared_packed` are written to both;
    `packed` stands for what the method would make of the data; `descriptor` appends a data descriptor; `dos` is the low
    half of the external attributes.
    """

    name: bytes
    data: bytes
    method: int = STORED
    mode: int = FILE_MODE
    system: int = _UNIX
    version: int = _VERSION
    flags: int = 0
    extra: bytes = b""
    comment: bytes = b""
    declared_size: int | None = None
    declared_packed: int | None = None
    crc: int | None = None
    packed: bytes | None = None
    descriptor: bool = False
    dos: int = 0
    disk: int = 0
    local: Mapping[str, Any] = field(default_factory=dict)
    central: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ForgedPublisher:
    """A publisher that exists for one test: its record, as a person would trust it, and its keys."""

    record: Publisher
    keys: tuple[SecretKey, ...]

    @property
    def id(self) -> str:
        return self.record.publisher_id


@dataclass(frozen=True, slots=True)
class ForgedRelease:
    """A wheel, its file name, and what lies beside it as `<wheel>.cloned.dsse.json` (None: nothing does)."""

    wheel_name: str
    wheel: bytes
    signature: bytes | None

    @property
    def wheel_sha256(self) -> str:
        return hashlib.sha256(self.wheel).hexdigest()

    @property
    def signature_name(self) -> str:
        return f"{self.wheel_name}.cloned.dsse.json"

    def write(self, folder: Path) -> Path:
        """Put the wheel and its signature into a folder; the wheel's path."""
        place = folder / self.wheel_name
        place.write_bytes(self.wheel)
        if self.signature is not None:
            (folder / self.signature_name).write_bytes(self.signature)
        return place


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Tweak:
    """One function for each stage's result. `shipped` comes last, after signing: what happens on the way."""

    files: Callable[[dict[str, bytes]], dict[str, bytes]] = _same
    manifest: Callable[[dict[str, Any]], Any] = _same
    record: Callable[[str], str] = _same
    members: Callable[[list[Entry]], list[Entry]] = _same
    archive: Callable[[bytes], bytes] = _same
    statement: Callable[[Statement], Statement] = _same
    envelope: Callable[[bytes], bytes | None] = _same
    shipped: Callable[[ForgedRelease], ForgedRelease] = _same


HONEST = Tweak()


def publisher(publisher_id: str = "acme", **record: Any) -> ForgedPublisher:
    """A publisher with fresh keys. `record` overrides fields of its record; `key_count` says how many keys it has."""
    keys = tuple(SecretKey.generate() for _ in range(record.pop("key_count", 1)))
    listed = [{"keyid": key.public.keyid, "public": key.public.base64} for key in keys]
    fields = {"publisher_id": publisher_id, "name": publisher_id.title(), "namespaces": [publisher_id], "keys": listed}
    return ForgedPublisher(Publisher.model_validate({**fields, **record}), keys)


def canary_source(canary: Path) -> bytes:
    """Python source that leaves a file behind wherever it runs, importing nothing that a sandbox could lack."""
    return b"open(%b, 'a').close()\n" % repr(str(canary)).encode()


def default_files(package: str, canary: Path | None = None) -> dict[str, bytes]:
    """A worker's package with one tool; with a canary, every module of it sings when run."""
    song = canary_source(canary) if canary else b""
    worker = (
        b"from cloned_sdk import Server\n\n"
        b'server = Server("%b")\n\n\n'
        % package.encode()
        + b'@server.tool("%b")\n' % tool_id(package).encode()
        + b"def today(inputs, call):\n"
        b'    return {"sky": "clear over " + inputs["city"]}\n'
    )
    return {
        f"{package}/__init__.py": song + b'"""The weather, as a worker."""\n',
        f"{package}/worker.py": song + worker,
    }


def tool_id(package: str) -> str:
    """The tool of `default_files`: `acme.weather.today@v1` for the package acme_weather."""
    return f"{package.replace('_', '.')}.today@v1"


def default_manifest(plugin_id: str, version: str, publisher_id: str) -> dict[str, Any]:
    """A worker's manifest without its files."""
    package = plugin_id.replace("-", "_")
    text = {"type": "string"}
    tool = {
        "id": tool_id(package),
        "version": version,
        "summary": "Say how the sky looks",
        "description": "Answers with one word about the sky over a city.",
        "input_schema": {
            "type": "object",
            "properties": {"city": text},
            "required": ["city"],
            "additionalProperties": False,
            "examples": [{"city": "Oslo"}],
        },
        "output_schema": {"type": "object", "properties": {"sky": text}, "required": ["sky"]},
        "capability": "weather.read",
        "risk_level": "low",
        "effect": "read",
    }
    return {
        "schema_version": 1,
        "id": plugin_id,
        "version": version,
        "publisher_id": publisher_id,
        "summary": "The weather",
        "license": "Apache-2.0",
        "execution": "worker",
        "isolation": "sandbox",
        "entry": f"python:{package}.worker:server",
        "tools": [tool],
        "capabilities_provided": ["weather.read"],
    }


def release(
    signer: ForgedPublisher,
    *,
    plugin_id: str = "acme-weather",
    version: str = "1.0.0",
    files: Mapping[str, bytes] | None = None,
    manifest: Mapping[str, Any] | None = None,
    tweak: Tweak = HONEST,
    canary: Path | None = None,
    method: int = STORED,
) -> ForgedRelease:
    """A signed release. `files` (path in the wheel → content) replace the default package, `manifest` its fields.

    `canary` is a path that comes to exist as soon as any code of the default package runs; `method` is how the
    members are compressed.
    """
    package, info = plugin_id.replace("-", "_"), f"{plugin_id.replace('-', '_')}-{version}.dist-info"
    content = tweak.files(dict(files) if files is not None else default_files(package, canary))
    content = {**content, **_metadata(info, plugin_id, version)}
    described = {**default_manifest(plugin_id, version, signer.id), **(manifest or {}), "files": _listed(content)}
    manifest_data = as_json(tweak.manifest(described))
    content[f"{info}/cloned/package.manifest.json"] = manifest_data
    content[f"{info}/RECORD"] = tweak.record(record(content, f"{info}/RECORD")).encode()
    members = tweak.members([Entry(path.encode(), data, method) for path, data in content.items()])
    wheel = tweak.archive(archive(members))
    wheel_name = f"{package}-{version}-py3-none-any.whl"
    digest, manifest_digest = hashlib.sha256(wheel).hexdigest(), hashlib.sha256(manifest_data).hexdigest()
    said = tweak.statement(Statement(wheel_name, digest, plugin_id, version, signer.id, manifest_digest))
    envelope = tweak.envelope(dsse.sign(statement.PAYLOAD_TYPE, statement.build(said), signer.keys))
    return tweak.shipped(ForgedRelease(wheel_name, wheel, envelope))


def _metadata(info: str, plugin_id: str, version: str) -> dict[str, bytes]:
    return {
        f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {plugin_id}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: forge\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }


def _listed(content: Mapping[str, bytes]) -> list[dict[str, Any]]:
    return [
        {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for path, data in content.items()
    ]


def as_json(value: Any) -> bytes:
    """Compact JSON; bytes pass as they are, for manifests that no encoder would write."""
    return value if isinstance(value, bytes) else json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def record(content: Mapping[str, bytes], own_path: str) -> str:
    """RECORD for these files."""
    lines = [f"{path},sha256={_urlsafe(data)},{len(data)}\n" for path, data in content.items() if path != own_path]
    return "".join([*lines, f"{own_path},,\n"])


def _urlsafe(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def archive(
    entries: Sequence[Entry],
    *,
    prefix: bytes = b"",
    gap: bytes = b"",
    tail: bytes = b"",
    comment: bytes = b"",
    **end: int,
) -> bytes:
    """A ZIP file in which every offset is right, whatever stands before it (`prefix`), before the directory (`gap`) or
    at the directory's end (`tail`). `end` overrides the end record's disk, first_disk, here, count, size and start.
    """
    body, central = prefix, b""
    for entry in entries:
        packed = _packed(entry)
        central += _central(entry, packed, len(body))
        body += _local(entry, packed)
    body, central = body + gap, central + tail
    values = {"disk": 0, "first_disk": 0, "here": len(entries), "count": len(entries)}
    values |= {"size": len(central), "start": len(body), **end}
    fields = [values[name] for name in ("disk", "first_disk", "here", "count", "size", "start")]
    return body + central + struct.pack("<4s4H2IH", b"PK\x05\x06", *fields, 0)


def _packed(entry: Entry) -> bytes:
    if entry.packed is not None or entry.method != DEFLATED:
        return entry.data if entry.packed is None else entry.packed
    stream = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return stream.compress(entry.data) + stream.flush()


def _shared(entry: Entry, packed: bytes) -> dict[str, Any]:
    return {
        "version": entry.version,
        "flags": entry.flags | (8 if entry.descriptor else 0),
        "method": entry.method,
        "time": _TIME,
        "date": _DATE,
        "crc": zlib.crc32(entry.data) if entry.crc is None else entry.crc,
        "packed": len(packed) if entry.declared_packed is None else entry.declared_packed,
        "size": len(entry.data) if entry.declared_size is None else entry.declared_size,
        "name": entry.name,
        "extra": entry.extra,
    }


def _parts(shared: Mapping[str, Any]) -> tuple[tuple[int, ...], bytes, bytes]:
    """The eight numbers that both headers have, the name and the extra field."""
    *numbers, name, extra = shared.values()
    return tuple(numbers), bytes(name), bytes(extra)


def _local(entry: Entry, packed: bytes) -> bytes:
    shared = {
        **_shared(entry, packed),
        **({"crc": 0, "packed": 0, "size": 0} if entry.descriptor else {}),
        **entry.local,
    }
    numbers, name, extra = _parts(shared)
    header = struct.pack("<4s5H3I2H", b"PK\x03\x04", *numbers, len(name), len(extra)) + name + extra
    tail = struct.pack("<4s3I", b"PK\x07\x08", zlib.crc32(entry.data), len(packed), len(entry.data))
    return header + packed + (tail if entry.descriptor else b"")


def _central(entry: Entry, packed: bytes, offset: int) -> bytes:
    numbers, name, extra = _parts({**_shared(entry, packed), **entry.central})
    made_by, attributes = entry.system << 8 | _VERSION, entry.mode << 16 | entry.dos
    lengths = len(name), len(extra), len(entry.comment)
    head = struct.pack("<4s6H3I", b"PK\x01\x02", made_by, *numbers)
    return head + struct.pack("<5H2I", *lengths, entry.disk, 0, attributes, offset) + name + extra + entry.comment


def tree(members: Sequence[Member]) -> tuple[TreeEntry, ...]:
    """The walk of a store's directory into which exactly these members were unpacked."""
    folders = {member.path[:end] for member in members for end, char in enumerate(member.path) if char == "/"}
    files = (TreeEntry(member.path, "file", member.size, member.sha256, 0o444) for member in members)
    return (*files, *(TreeEntry(path, "dir", 0, None, 0o555) for path in sorted(folders)))


def added(*entries: Entry) -> Tweak:
    """Members that neither manifest nor RECORD knows."""
    return Tweak(members=lambda members: [*members, *entries])


def shipped_file(path: str, data: bytes) -> Tweak:
    """A file that manifest and RECORD list as if it were the plugin's own."""
    return Tweak(files=lambda files: {**files, path: data})


def each(change: Callable[[Entry], Entry]) -> Tweak:
    """A change to every member as it is written."""
    return Tweak(members=lambda members: [change(member) for member in members])


def last(**changes: Any) -> Tweak:
    """A change to the fields of the last member (RECORD) as it is written."""
    return Tweak(members=lambda members: [*members[:-1], replace(members[-1], **changes)])


def flipped(data: bytes, place: int, bit: int = 0) -> bytes:
    """The bytes with one bit turned."""
    return data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :]


def single_byte_changes(data: bytes, places: Sequence[int]) -> Iterator[bytes]:
    """Every other value of each byte at the places."""
    for place in places:
        for value in range(256):
            if data[place] != value:
                yield data[:place] + bytes([value]) + data[place + 1 :]
