"""Judge an installed plugin before it is loaded, from what was read of the store. Reads no disk and runs nothing.

Everything that install verified is bound again, by digests alone: signature → statement → manifest → every file.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cloned_schemas.manifest import FileEntry, Manifest
from cloned_schemas.trust import Publisher, Revocations
from cloned_trust import manifestgate, places, record, signed
from cloned_trust.publishers import may_sign
from cloned_trust.release import unlike
from cloned_trust.signed import Signed
from cloned_trust.verdict import Finding, Refusal, refuse_first

FILE_MODE, FOLDER_MODE = 0o444, 0o555


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One thing found below a plugin's directory in the store, the directory itself left out.

    `path` is relative, with `/`; `kind` as lstat has it; `size` in bytes and `sha256` in hex for files (a digest of
    None never matches); `mode` is the permission bits, special bits included.
    """

    path: str
    kind: Literal["file", "dir", "link", "other"]
    size: int
    sha256: str | None
    mode: int


@dataclass(frozen=True, slots=True)
class StoredRelease:
    """An installed release whose every byte is still what its publisher signed. Digests are hex SHA-256."""

    plugin_id: str
    version: str
    publisher_id: str
    keyid: str
    wheel_name: str
    wheel_sha256: str
    manifest_sha256: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """The release, where nothing refuses it, and all that was found (notices included)."""

    release: StoredRelease | None
    findings: tuple[Finding, ...]

    @property
    def accepted(self) -> bool:
        """Whether the plugin may be loaded."""
        return self.release is not None


def judge_stored(
    *,
    wheel_sha256: str,
    signature: bytes | None,
    manifest: bytes,
    record: bytes,
    tree: Sequence[TreeEntry],
    publishers: Sequence[Publisher],
    revocations: Revocations,
) -> StoredVerdict:
    """Judge an installed plugin for loading.

    `wheel_sha256` is the digest under which the store keeps it; `signature`, `manifest` and `record` are the contents
    of those files as they lie there now; `tree` is a walk of the whole directory. A difference of the tree is
    TREE_MISMATCH, once for each path; every other refusal comes alone. Nothing is raised.
    """
    try:
        origin = signed.verify(signature, trusted=publishers, revoked=revocations, moment="load")
        read = _manifest(origin, wheel_sha256, manifest)
        notices = signed.unrevoked(origin, revocations, "load", {entry.sha256 for entry in read.files})
    except Refusal as refusal:
        return StoredVerdict(None, (refusal.finding,))
    differing = tuple(_differences(read, manifest, record, tree))
    return StoredVerdict(None if differing else _release(origin, read), (*differing, *notices))


def _manifest(origin: Signed, wheel_sha256: str, data: bytes) -> Manifest:
    statement = origin.statement
    place = places.manifest_path(statement.plugin_id, statement.version)
    if statement.wheel_sha256 != wheel_sha256:
        raise Refusal("DIGEST_MISMATCH", statement.wheel_name, f"the store keeps it as {wheel_sha256}")
    digest = hashlib.sha256(data).hexdigest()
    if digest != statement.manifest_sha256:
        raise Refusal("TREE_MISMATCH", place, "the manifest is not the one that was signed")
    manifest = manifestgate.parse(data, what=place)
    contradicted = unlike(statement, manifest, digest)
    if contradicted:
        raise Refusal("STATEMENT_INVALID", place, f"manifest and statement differ in {', '.join(contradicted)}")
    refuse_first(may_sign(origin.publisher, manifest))
    return manifest


def _differences(
    manifest: Manifest, manifest_data: bytes, record_data: bytes, tree: Sequence[TreeEntry]
) -> Iterator[Finding]:
    """TREE_MISMATCH for each path that is not exactly as the manifest has it."""
    own = FileEntry(
        path=places.manifest_path(manifest.id, manifest.version),
        size=len(manifest_data),
        sha256=hashlib.sha256(manifest_data).hexdigest(),
    )
    record_path = places.record_path(manifest.id, manifest.version)
    listed = [*manifest.files, own]
    for path in record.differences(record_data, listed, record_path):
        yield Finding("TREE_MISMATCH", record_path, f"RECORD differs from the manifest about {path}")
    digests = {entry.path: entry.sha256 for entry in listed}
    digests[record_path] = hashlib.sha256(record_data).hexdigest()
    folders = {path[:end] for path in digests for end, char in enumerate(path) if char == "/"}
    for path in sorted({*digests, *folders} - {entry.path for entry in tree}):
        yield Finding("TREE_MISMATCH", path, "it is missing")
    seen = Counter(entry.path for entry in tree)
    for entry in tree:
        why = "it was read twice" if seen[entry.path] > 1 else _why(entry, digests, folders)
        if why:
            yield Finding("TREE_MISMATCH", entry.path, why)


def _why(entry: TreeEntry, digests: Mapping[str, str], folders: set[str]) -> str | None:
    """How an entry differs from what stands at its path in the signed manifest."""
    wanted = {True: "dir", False: "file"}[entry.path in folders]
    if entry.path not in digests and entry.path not in folders:
        return "it is extra"
    if entry.kind != wanted:
        return f"it is a {entry.kind} instead of a {wanted}"
    mode = FOLDER_MODE if wanted == "dir" else FILE_MODE
    if entry.mode != mode:
        return f"its mode is {entry.mode:04o} instead of {mode:04o}"
    if wanted == "file" and entry.sha256 != digests[entry.path]:
        return "its content is not what was signed"
    return None


def _release(origin: Signed, manifest: Manifest) -> StoredRelease:
    return StoredRelease(
        plugin_id=manifest.id,
        version=manifest.version,
        publisher_id=origin.publisher.publisher_id,
        keyid=origin.keyids[0],
        wheel_name=origin.statement.wheel_name,
        wheel_sha256=origin.statement.wheel_sha256,
        manifest_sha256=origin.statement.manifest_sha256,
        manifest=manifest,
    )
