"""The bytes of a wheel: the same files and facts give the same bytes, whatever the machine, its clock or its umask.

Members are stored, sorted, dated 1980-01-01 and have mode 0644; metadata comes last, RECORD at the very end (PEP 427).
"""

import hashlib
import io
import json
import stat
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloned_schemas.manifest import Manifest
from cloned_trust import places, record

_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest that a ZIP can say; nothing reads it."""

_UNIX = 3
_MODE = (stat.S_IFREG | 0o644) << 16


@dataclass(frozen=True, slots=True)
class File:
    """A file as manifest and RECORD list it: `size` in bytes, `sha256` in hex."""

    path: str
    size: int
    sha256: str


def listed(contents: Mapping[str, bytes]) -> tuple[File, ...]:
    """Each file of `contents` with its size and digest, in the same order."""
    return tuple(File(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in contents.items())


def metadata_files(plugin_id: str, version: str, tag: str, metadata: bytes) -> dict[str, bytes]:
    """METADATA, WHEEL and entry_points.txt. The entry point only lets a plugin be found; nothing ever loads it."""
    folder = places.dist_info(plugin_id, version)
    pure = "true" if tag.endswith("-none-any") else "false"
    return {
        f"{folder}/METADATA": metadata,
        f"{folder}/WHEEL": f"Wheel-Version: 1.0\nGenerator: cloned-sdk\nRoot-Is-Purelib: {pure}\nTag: {tag}\n".encode(),
        f"{folder}/entry_points.txt": f"[cloned.plugins]\n{plugin_id} = {places.package_of(plugin_id)}\n".encode(),
    }


def manifest_bytes(manifest: Manifest) -> bytes:
    """The manifest as it stands in the wheel: what the author wrote and pack derived, no defaults; ASCII, sorted."""
    value = manifest.model_dump(mode="json", exclude_unset=True)
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True).encode() + b"\n"


def assemble(contents: Mapping[str, bytes], manifest: Manifest) -> bytes:
    """The wheel: `contents` in the order given, then the manifest, then RECORD."""
    whole = {**contents, places.manifest_path(manifest.id, manifest.version): manifest_bytes(manifest)}
    own = places.record_path(manifest.id, manifest.version)
    return _archive({**whole, own: _record(listed(whole), own)})


def _record(entries: Sequence[File], own_path: str) -> bytes:
    return "".join(f"{line}\n" for line in (*map(record.line, entries), f"{own_path},,")).encode()


def _archive(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, data in members.items():
            entry = zipfile.ZipInfo(path, _DATE)
            entry.create_system, entry.external_attr = _UNIX, _MODE
            archive.writestr(entry, data)
    return buffer.getvalue()
