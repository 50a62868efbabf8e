"""Judge a release before it is installed: wheel, signature and trust in, one verdict out. Unpacks nothing to disk.

The order is fixed and the first refusal ends it: signature, publisher, revocations, digest, archive, manifest. So no
byte of an archive is parsed that its publisher did not sign.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from cloned_schemas.manifest import Manifest
from cloned_schemas.trust import Publisher, Revocations
from cloned_trust import manifestgate, signed, wheelzip
from cloned_trust.publishers import may_sign
from cloned_trust.signed import Signed
from cloned_trust.statement import Statement
from cloned_trust.verdict import Finding, Refusal, refuse_first
from cloned_trust.wheelzip import Member


@dataclass(frozen=True, slots=True)
class Release:
    """A release whose every byte is accounted for. Digests are hex SHA-256; `keyid` is the first counting signer's."""

    plugin_id: str
    version: str
    publisher_id: str
    keyid: str
    wheel_name: str
    wheel_sha256: str
    manifest_sha256: str
    manifest: Manifest
    members: tuple[Member, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReleaseVerdict:
    """The release, where nothing refuses it, and all that was found (notices included)."""

    release: Release | None
    findings: tuple[Finding, ...]

    @property
    def accepted(self) -> bool:
        """Whether the release may be installed."""
        return self.release is not None


def judge_release(
    *, wheel: bytes, wheel_name: str, signature: bytes | None, publishers: Sequence[Publisher], revocations: Revocations
) -> ReleaseVerdict:
    """Judge the bytes of a wheel and of its `.cloned.dsse.json` (None: there is none).

    `publishers` are the records trusted here, `revocations` the union of all lists. Refused is answered with exactly
    one refusing finding; nothing is raised.
    """
    try:
        origin = signed.verify(signature, trusted=publishers, revoked=revocations, moment="install")
        release = _release(wheel, wheel_name, origin)
        files = {member.sha256 for member in release.members}
        return ReleaseVerdict(release, signed.unrevoked(origin, revocations, "install", files))
    except Refusal as refusal:
        return ReleaseVerdict(None, (refusal.finding,))


def about(statement: Statement, wheel_name: str, wheel_sha256: str) -> None:
    """Refuse a statement about another wheel. Raises Refusal: STATEMENT_INVALID or DIGEST_MISMATCH."""
    if statement.wheel_name != wheel_name:
        raise Refusal("STATEMENT_INVALID", wheel_name, f"the signed statement is about {statement.wheel_name}")
    if statement.wheel_sha256 != wheel_sha256:
        raise Refusal("DIGEST_MISMATCH", wheel_name, f"its digest is {wheel_sha256}, not {statement.wheel_sha256}")


def unlike(statement: Statement, manifest: Manifest, manifest_sha256: str | None) -> tuple[str, ...]:
    """The fields of the statement that the manifest contradicts."""
    facts = {
        "plugin_id": manifest.id,
        "version": manifest.version,
        "publisher_id": manifest.publisher_id,
        "manifest_sha256": manifest_sha256,
    }
    return tuple(name for name, value in facts.items() if getattr(statement, name) != value)


def _release(wheel: bytes, wheel_name: str, origin: Signed) -> Release:
    statement = origin.statement
    about(statement, wheel_name, hashlib.sha256(wheel).hexdigest())
    members = wheelzip.read(wheel)
    gate = manifestgate.judge(members, wheel_name)
    refuse_first(gate.findings)
    if gate.manifest is None:
        raise Refusal("MANIFEST_MISSING", wheel_name, "it has no manifest")
    contradicted = unlike(statement, gate.manifest, gate.manifest_sha256)
    if contradicted:
        raise Refusal("STATEMENT_INVALID", wheel_name, f"manifest and statement differ in {', '.join(contradicted)}")
    refuse_first(may_sign(origin.publisher, gate.manifest))
    return Release(
        plugin_id=gate.manifest.id,
        version=gate.manifest.version,
        publisher_id=origin.publisher.publisher_id,
        keyid=origin.keyids[0],
        wheel_name=wheel_name,
        wheel_sha256=statement.wheel_sha256,
        manifest_sha256=statement.manifest_sha256,
        manifest=gate.manifest,
        members=members,
    )
