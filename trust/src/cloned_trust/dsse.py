"""DSSE 1.0.2 envelopes: signatures over PAE(type, bytes), so that nothing is parsed before it is verified.

Refuses to count one key twice: a threshold is met by different raw keys, never by key ids, which an attacker writes.
Source: https://github.com/secure-systems-lab/dsse, protocol.md and envelope.md.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cloned_trust import strictjson
from cloned_trust.keys import PublicKey, SecretKey
from cloned_trust.verdict import Refusal

MAX_SIGNATURES = 16
_WHAT = "signature envelope"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature as the envelope has it; `keyid` is only a hint."""

    keyid: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A well-formed envelope of which nothing is verified yet."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    def signers(self, keys: Iterable[PublicKey]) -> tuple[PublicKey, ...]:
        """Those of `keys`, each once, that made one of the signatures."""
        message = pae(self.payload_type, self.payload)
        return tuple(
            key for key in dict.fromkeys(keys) if any(key.verify(message, one.value) for one in self.signatures)
        )


@dataclass(frozen=True, slots=True)
class Verified:
    """A payload that enough keys signed, with the ids of those keys in the order in which the keys were given."""

    payload: bytes
    keyids: tuple[str, ...]


def pae(payload_type: str, body: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


def sign(payload_type: str, body: bytes, keys: Sequence[SecretKey]) -> bytes:
    """The envelope (compact JSON) around `body`, signed by each key."""
    message = pae(payload_type, body)
    signatures = [{"keyid": key.public.keyid, "sig": base64.b64encode(key.sign(message)).decode()} for key in keys]
    envelope = {"payload": base64.b64encode(body).decode(), "payloadType": payload_type, "signatures": signatures}
    return json.dumps(envelope, separators=(",", ":"), sort_keys=True).encode()


def parse(envelope: bytes | None, *, payload_type: str) -> Envelope:
    """Read an envelope without verifying it.

    Raises Refusal: SIG_MISSING (no envelope, no signatures), SIG_FORMAT, SIG_INVALID (signed as another type), JSON_*.
    """
    if not envelope:
        raise Refusal("SIG_MISSING", _WHAT, "there is none")
    match strictjson.loads(envelope, what=_WHAT):
        case {"payload": str(payload), "payloadType": str(kind), "signatures": [*signatures], **rest} if not rest:
            pass
        case _:
            raise Refusal("SIG_FORMAT", _WHAT, "it needs payload, payloadType and signatures, and nothing else")
    if not signatures:
        raise Refusal("SIG_MISSING", _WHAT, "its list of signatures is empty")
    if len(signatures) > MAX_SIGNATURES:
        raise Refusal("SIG_FORMAT", _WHAT, f"{len(signatures)} signatures, at most {MAX_SIGNATURES} are read")
    if kind != payload_type:
        raise Refusal("SIG_INVALID", _WHAT, f"it is signed as {kind!r}, not as {payload_type!r}")
    return Envelope(kind, _decoded(payload), tuple(_signature(one) for one in signatures))


def verify(envelope: bytes | None, *, payload_type: str, keys: Sequence[PublicKey], threshold: int = 1) -> Verified:
    """The payload, if at least `threshold` different keys of `keys` signed it as `payload_type`.

    Raises Refusal: what `parse` raises, and SIG_INVALID where too few of the keys signed.
    """
    parsed = parse(envelope, payload_type=payload_type)
    signers = parsed.signers(keys)
    if len(signers) < max(threshold, 1):
        raise Refusal("SIG_INVALID", _WHAT, f"{len(signers)} of {max(threshold, 1)} needed signatures are valid")
    return Verified(parsed.payload, tuple(key.keyid for key in signers))


def _signature(entry: Any) -> Signature:
    match entry:
        case {"sig": str(value), **rest} if set(rest) <= {"keyid"} and isinstance(keyid := rest.get("keyid", ""), str):
            return Signature(keyid, _decoded(value))
        case _:
            raise Refusal("SIG_FORMAT", _WHAT, "a signature is an object of keyid and sig")


def _decoded(text: str) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal("SIG_FORMAT", _WHAT, "a field is not standard base64") from error
    if base64.b64encode(value).decode() != text:
        raise Refusal("SIG_FORMAT", _WHAT, "a field is not written in canonical base64")
    return value
