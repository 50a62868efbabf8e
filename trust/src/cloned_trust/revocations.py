"""Judge a release against revocations. Denial wins; refuses nothing that the lists do not name."""

from collections.abc import Collection, Iterator, Sequence
from typing import Literal

from cloned_schemas.trust import Revocation, Revocations
from cloned_trust.verdict import Finding, Severity

Moment = Literal["install", "load"]

_ERROR_IDS = {"publisher": "PUBLISHER_REVOKED", "key": "KEY_REVOKED", "release": "REVOKED", "file-sha256": "REVOKED"}


def judge(
    revocations: Revocations,
    *,
    publisher_id: str,
    keyids: Sequence[str],
    wheel_sha256: str,
    moment: Moment,
    files: Collection[str] = (),
) -> tuple[Finding, ...]:
    """All entries that name this release: its publisher, keys, wheel digest, or one of its `files` (digests, hex).

    Findings: PUBLISHER_REVOKED, KEY_REVOKED, REVOKED, YANKED (a release or file blocked from install alone). They
    refuse where the entry's action blocks this moment, and are notices otherwise.
    """
    named = {
        "publisher": {publisher_id},
        "key": set(keyids),
        "release": {wheel_sha256},
        "file-sha256": set(files),
    }
    return tuple(_findings(revocations.entries, named, wheel_sha256, moment))


def _findings(
    entries: Sequence[Revocation], named: dict[str, set[str]], wheel_sha256: str, moment: Moment
) -> Iterator[Finding]:
    for entry in entries:
        if entry.id not in named[entry.scope]:
            continue
        if entry.scope in {"publisher", "key"} and wheel_sha256 in entry.releases_still_good:
            continue
        yanked = entry.action == "block-install" and entry.scope in {"release", "file-sha256"}
        error_id = "YANKED" if yanked else _ERROR_IDS[entry.scope]
        yield Finding(error_id, entry.id, f"{entry.scope}, {entry.reason}: {entry.action}", _severity(entry, moment))


def _severity(entry: Revocation, moment: Moment) -> Severity:
    if entry.action == "warn" or (entry.action == "block-install" and moment == "load"):
        return "notice"
    return "refuse"
