"""Operations on artifacts: what runs made, where it came from, and whether it is still what was made."""

from typing import Any

import msgspec

from cloned.monitor import artifacts
from cloned.monitor.artifacts import Artifact
from cloned_operations.context import Context
from cloned_schemas.errors import UserMistake, error_for
from cloned_sdk.host import Operation


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No inputs."""


class Listed(msgspec.Struct, frozen=True):
    """Artifacts, oldest first."""

    artifacts: list[dict[str, Any]]


class OneInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An artifact's id, or any unambiguous beginning or end of it."""

    id: str


class One(msgspec.Struct, frozen=True):
    """A manifest and where the artifact stands."""

    path: str
    manifest: dict[str, Any]


class Verified(msgspec.Struct, frozen=True):
    """How many artifacts are exactly what their manifests and the audit say."""

    verified: int


def _list(context: Context, _: Nothing) -> Listed:
    places = context.workspace.places
    rows = [_told(artifacts.get(places, found)) for found in artifacts.listed(places)]
    return Listed(sorted(rows, key=lambda row: str(row["created_at"])))


def _show(context: Context, wanted: OneInput) -> One:
    places = context.workspace.places
    ids = artifacts.listed(places)
    fitting = [found for found in ids if wanted.id and (found.startswith(wanted.id) or found.endswith(wanted.id))]
    if len(fitting) != 1:
        raise UserMistake("ARTIFACT_UNKNOWN", f"{len(fitting)} artifacts fit {wanted.id!r}")
    found = artifacts.get(places, fitting[0])
    return One(str(found.folder), found.manifest.model_dump(mode="json", exclude_none=True))


def _told(artifact: Artifact) -> dict[str, Any]:
    manifest = artifact.manifest
    return {
        "artifact_id": manifest.artifact_id,
        "name": manifest.name,
        "created_at": manifest.created_at,
        "run_id": manifest.run_id,
        "citations": len(manifest.provenance),
        "folder": str(artifact.folder),
    }


def _verify(context: Context, _: Nothing) -> Verified:
    workspace = context.workspace
    findings = artifacts.verify(workspace.places, artifacts.recorded(workspace.audit.entries()))
    if findings:
        first = findings[0]
        told = {"findings": [f"{found.error_id} {found.subject}: {found.detail}" for found in findings]}
        raise error_for(first.error_id, f"{first.subject}: {first.detail}", details=told)
    return Verified(len(artifacts.listed(workspace.places)))


LIST = Operation("artifacts.list", "What runs have made", "read", Nothing, Listed, _list)
SHOW = Operation(
    "artifacts.show", "One artifact's manifest, with where each citation comes from", "read", OneInput, One, _show
)
VERIFY = Operation(
    "artifacts.verify", "Compare every artifact with its manifest and the audit", "read", Nothing, Verified, _verify
)
