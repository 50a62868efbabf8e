"""The kernel's own tool for artifacts, `cloned.internal.artifact.save@v1`, and the check that none was changed since.

An artifact is a folder: its content, and a manifest of how it came to be whose hash stands in the audit. Refuses names
with path parts. Times and ids stay out of the content, so equal inputs give equal content hashes.
"""

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from cloned.monitor.records import Authorized, encode_sorted
from cloned_schemas.errors import ClonedError, TrustRefused, Unavailable, UserMistake
from cloned_schemas.generate import schema_id
from cloned_schemas.records import ArtifactManifest
from cloned_schemas.tool import Tool
from cloned_sdk.host import JsonObject
from cloned_storage.clock import Clock, timestamp
from cloned_storage.database import Database
from cloned_storage.files import parse_json, read_bytes, sync_folder, validate
from cloned_storage.layout import FOLDER, Places
from cloned_storage.tables import calls
from cloned_trust.verdict import Finding

MANIFEST = "manifest.json"
MAX_BYTES = 4 << 20
SAVE = Tool.model_validate_json(Path(__file__).with_name("artifact_save.json").read_bytes())
_GIVEN = SAVE.input_schema["properties"].keys() - {"content"}


@dataclass(frozen=True, slots=True)
class Artifact:
    """A saved artifact: its manifest, the SHA-256 of the manifest file, and its folder."""

    manifest: ArtifactManifest
    manifest_sha256: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Keeper:
    """Carries out the tool for one workspace."""

    places: Places
    clock: Clock
    database: Database

    def save(self, authorized: Authorized) -> JsonObject:
        """Write the artifact, durable when this returns, or find it where an earlier try of this call got so far.

        Raises UserMistake INPUT_INVALID, Unavailable WORKSPACE_READ_ONLY, TrustRefused ARTIFACT_* for what was found.
        """
        inputs = authorized.judged.request.inputs
        if inputs["name"].lower() == MANIFEST:
            raise UserMistake("INPUT_INVALID", f"an artifact cannot be named {MANIFEST}", details={"sent": False})
        artifact_id, content = _identity(authorized), inputs["content"].encode()
        digest = hashlib.sha256(content).hexdigest()
        if not os.path.lexists(self.places.artifacts / artifact_id):
            manifest = self._manifest(authorized, artifact_id, digest)
            self._make(artifact_id, {inputs["name"]: content, MANIFEST: manifest})
        saved = get(self.places, artifact_id)
        if saved.manifest.content_hashes != {inputs["name"]: digest}:
            fact = f"artifact {artifact_id} is there already, with another content"
            raise TrustRefused("ARTIFACT_CHANGED", fact, details={"sent": False})
        path = f"{FOLDER}/artifacts/{artifact_id}/{inputs['name']}"
        told = {"manifest_sha256": saved.manifest_sha256, "content_sha256": digest, "path": path}
        return {"artifact_id": artifact_id, **told}

    def _manifest(self, authorized: Authorized, artifact_id: str, digest: str) -> bytes:
        judged = authorized.judged
        inputs, offers = judged.request.inputs, judged.authority.offers
        made_with = self._calls_of(judged.request.run_id)
        by = {row.tool_id: offers[row.tool_id] for row in made_with if row.tool_id in offers}
        contracts = {name: schema_id(name) for name in ("artifact_manifest", "audit_entry", "tool_call_envelope")}
        told = {
            **{key: inputs[key] for key in _GIVEN & inputs.keys()},
            "artifact_id": artifact_id, "run_id": judged.request.run_id, "created_at": timestamp(self.clock.now()),
            "tool_calls": [
                {"tool_id": row.tool_id, "version": row.tool_version, "envelope_hash": row.payload_hash}
                for row in made_with
            ],
            "connector_versions": {offer.plugin.id: offer.plugin.version for offer in by.values() if offer.plugin},
            "schema_ids": contracts | {row.tool_id: row.schema_id for row in made_with},
            "content_hashes": {inputs["name"]: digest},
        }  # fmt: skip
        manifest = validate(ArtifactManifest, told, f"the manifest of artifact {artifact_id}")
        return encode_sorted(manifest.model_dump(mode="json", exclude_none=True)) + b"\n"

    def _calls_of(self, run_id: str | None) -> list[Any]:
        if run_id is None:
            return []
        made = sa.select(calls).where(calls.c.run_id == run_id, calls.c.outcome == "success")
        with self.database.read() as connection:
            return list(connection.execute(made.where(calls.c.tool_id != SAVE.id).order_by(calls.c.call_id)))

    def _make(self, artifact_id: str, files: dict[str, bytes]) -> None:
        fresh, folder = (self.places.artifacts / name for name in (f".{artifact_id}.unfinished", artifact_id))
        try:
            shutil.rmtree(fresh, ignore_errors=True)  # what a killed try left
            fresh.mkdir(mode=0o700)
            for name, data in files.items():
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with os.fdopen(os.open(fresh / name, flags, 0o600), "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            sync_folder(fresh)
            sys.audit("cloned.step", "artifact.written")
            with suppress(FileExistsError):
                fresh.rename(folder)
            sync_folder(self.places.artifacts)
            sys.audit("cloned.step", "artifact.renamed")
        except OSError as error:
            fact = f"artifact {artifact_id} cannot be written: {error.strerror}"
            raise Unavailable("WORKSPACE_READ_ONLY", fact, details={"sent": os.path.lexists(folder)}) from error


def get(places: Places, artifact_id: str) -> Artifact:
    """An artifact by id. Raises UserMistake ARTIFACT_UNKNOWN, TrustRefused ARTIFACT_MANIFEST."""
    folder = places.artifacts / artifact_id
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", artifact_id) or not os.path.lexists(folder):
        raise UserMistake("ARTIFACT_UNKNOWN", f"there is no artifact {artifact_id}")
    what = f"the manifest of artifact {artifact_id}"
    try:
        data = read_bytes(folder / MANIFEST, MAX_BYTES)
        manifest = validate(ArtifactManifest, parse_json(data, what), what)
    except ClonedError as error:
        raise TrustRefused("ARTIFACT_MANIFEST", f"{what} cannot be read: {error.fact}") from error
    if manifest.artifact_id != artifact_id or folder.is_symlink():
        raise TrustRefused("ARTIFACT_MANIFEST", f"{what} is another artifact's")
    return Artifact(manifest, hashlib.sha256(data).hexdigest(), folder)


def listed(places: Places) -> list[str]:
    """The ids of all artifacts, sorted."""
    return sorted(path.name for path in places.artifacts.iterdir() if not path.name.startswith("."))


def recorded(entries: Iterable[tuple[int, JsonObject]]) -> frozenset[str]:
    """The manifest hashes that the audit's entries tell of."""
    hashes = (entry.get("artifact_manifest_hash") for _, entry in entries)
    return frozenset(str(found) for found in hashes if found)


def verify(places: Places, recorded_hashes: frozenset[str]) -> tuple[Finding, ...]:
    """What differs from the manifests, and the manifests that differ from the audit, each by its name."""
    findings: list[Finding] = []
    missing = set(recorded_hashes)
    for artifact_id in listed(places):
        try:
            artifact = get(places, artifact_id)
        except ClonedError as error:
            findings.append(Finding("ARTIFACT_MANIFEST", artifact_id, error.fact))
            continue
        if artifact.manifest_sha256 not in recorded_hashes:
            findings.append(Finding("ARTIFACT_MANIFEST", f"{artifact_id}/{MANIFEST}", "differs from the audit"))
        missing.discard(artifact.manifest_sha256)
        findings += _changed(artifact)
    gone = "the audit tells of an artifact with this manifest, and it is gone or changed"
    return (*findings, *(Finding("ARTIFACT_MANIFEST", digest, gone) for digest in sorted(missing)))


def _changed(artifact: Artifact) -> Iterator[Finding]:
    hashes = artifact.manifest.content_hashes
    present = {path.name for path in artifact.folder.iterdir()}
    for name in sorted(present - hashes.keys() - {MANIFEST}):
        yield Finding("ARTIFACT_CHANGED", f"{artifact.folder.name}/{name}", "is not in the manifest")
    for name, digest in sorted(hashes.items()):
        subject = f"{artifact.folder.name}/{name}"
        try:
            if name not in present:
                yield Finding("ARTIFACT_CHANGED", subject, "is missing")
            elif hashlib.sha256(read_bytes(artifact.folder / name, MAX_BYTES)).hexdigest() != digest:
                yield Finding("ARTIFACT_CHANGED", subject, "its content is not what was saved")
        except ClonedError as error:
            yield Finding("ARTIFACT_CHANGED", subject, error.fact)


def _identity(authorized: Authorized) -> str:
    """An id by what makes two calls the same one: a repeat after a crash finds the artifact. UUIDv8 (RFC 9562, 5.8)."""
    request = authorized.judged.request
    key = encode_sorted([request.caller, request.tool_id, request.correlation_id, authorized.judged.payload_hash])
    number = int.from_bytes(hashlib.sha256(b"cloned.artifact.v1\0" + key).digest()[:16])
    return str(UUID(int=number & ~(0xF << 76 | 0b11 << 62) | 0x8 << 76 | 0b10 << 62))
