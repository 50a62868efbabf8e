"""Who signed a release, and does it count: the signature file in, a verified statement out. Never sees the wheel."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cloned_schemas.trust import Publisher, Revocations
from cloned_trust import dsse, publishers, revocations, statement
from cloned_trust.dsse import Envelope
from cloned_trust.revocations import Moment
from cloned_trust.statement import Statement
from cloned_trust.verdict import Finding, Refusal, refuse_first


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement that its own publisher signed, with keys (`keyids`, in the record's order) that count."""

    statement: Statement
    publisher: Publisher
    keyids: tuple[str, ...]


def verify(signature: bytes | None, *, trusted: Sequence[Publisher], revoked: Revocations, moment: Moment) -> Signed:
    """Verify a signature file against the trusted publishers and the revocations.

    The publisher is looked up by the id that the payload claims; that is only a candidate until its keys fit. Raises
    Refusal: SIG_*, STATEMENT_INVALID, JSON_*, PUBLISHER_*, KEY_*, REVOKED, YANKED.
    """
    envelope = dsse.parse(signature, payload_type=statement.PAYLOAD_TYPE)
    claimed = statement.parse(envelope.payload)
    publisher = publishers.find(trusted, claimed.publisher_id)
    keys = publishers.key_set(publisher)
    signers = envelope.signers(keys)
    if len(signers) < publisher.threshold:
        raise _why_not(envelope, publisher, trusted, len(signers))
    signed = Signed(claimed, publisher, tuple(key.keyid for key in signers))
    unrevoked(signed, revoked, moment)
    return signed


def unrevoked(signed: Signed, revoked: Revocations, moment: Moment, files: Collection[str] = ()) -> tuple[Finding, ...]:
    """The revocations that are notices at this moment; `files` are the digests of the release's files, once known.

    Raises Refusal with the first that refuses: PUBLISHER_REVOKED, KEY_REVOKED, REVOKED, YANKED.
    """
    found = revocations.judge(
        revoked,
        publisher_id=signed.publisher.publisher_id,
        keyids=signed.keyids,
        wheel_sha256=signed.statement.wheel_sha256,
        moment=moment,
        files=files,
    )
    refuse_first(found)
    return found


def _why_not(envelope: Envelope, publisher: Publisher, trusted: Sequence[Publisher], valid: int) -> Refusal:
    subject = publisher.publisher_id
    if valid:
        return Refusal("SIG_INVALID", subject, f"{valid} of its {publisher.threshold} needed signatures are valid")
    for other in trusted:
        if other.publisher_id != subject and _signed_by(envelope, other):
            return Refusal("KEY_NOT_FOR_PUBLISHER", subject, f"it is signed with a key of {other.publisher_id}")
    hints = {one.keyid for one in envelope.signatures}
    if hints & {entry.keyid for entry in publisher.keys}:
        return Refusal("SIG_INVALID", subject, "a signature names one of its keys and is not made with it")
    return Refusal("PUBLISHER_UNTRUSTED", subject, "it is signed with a key that is not among its trusted ones")


def _signed_by(envelope: Envelope, other: Publisher) -> bool:
    """Whether another publisher's key made a signature. A broken record of that one is judged with its own."""
    try:
        return bool(envelope.signers(publishers.key_set(other)))
    except Refusal:
        return False
