"""The audit's hash chain: seal entries, verify lines. Needs nothing but this package, so that anybody can verify.

Refuses whatever the chain does not prove. It cannot see that lines were cut off at the end: a checkpoint does that.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from cloned_trust.verdict import Finding, Refusal

ZERO = bytes(32)
"""What the first entry is linked to."""

DOMAIN = b"cloned.audit.v1\0"
MAX_LINE = 1 << 20
PREV, THIS = "chain_prev_hash", "chain_this_hash"

_MAX_INT = 2**53 - 1
_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
# The chain's fields as they stand in a line: `seq` sorts behind them, so a comma always follows.
_PIECE = '"chain_prev_hash":"%s","chain_this_hash":"%s",'


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """What the lines prove: so many good `entries`, the hash of the last of them (`head`, 32 bytes).

    `first_bad_line` counts from 1 and is None where every whole line is good; verification stops there. `torn` is a
    last line without its line feed, which is no part of the chain and no break in it (finding AUDIT_TORN, a notice).
    """

    entries: int
    head: bytes
    first_bad_line: int | None
    findings: tuple[Finding, ...]
    torn: bytes | None = None

    @property
    def intact(self) -> bool:
        """Whether every whole line is good."""
        return self.first_bad_line is None


def canonical(entry: Mapping[str, Any]) -> bytes:
    """The bytes of an entry that are hashed: compact JSON with sorted keys, without the chain's two fields.

    Equal to RFC 8785 for the values that are let through: strings, integers within ±(2**53 - 1), booleans, null, lists
    and objects with ASCII keys. Raises ValueError for anything else.
    """
    body = {key: value for key, value in entry.items() if key not in (PREV, THIS)}
    _refuse_other_values(body)
    return _encoded(body)


def link(prev: bytes, body: bytes) -> bytes:
    """The hash (32 bytes) that ties canonical bytes to the entry before."""
    return hashlib.sha256(DOMAIN + prev + body).digest()


def seal(entry: Mapping[str, Any], prev: bytes) -> tuple[bytes, bytes]:
    """The line for an entry, without line feed, and its hash. `prev` is the hash of the entry before, or ZERO."""
    body = canonical(entry)
    this = link(prev, body)
    line = _encoded({**entry, PREV: prev.hex(), THIS: this.hex()})
    if len(line) >= MAX_LINE:
        raise ValueError(f"an audit entry of {len(line)} bytes; at most {MAX_LINE - 1} are written")
    return line, this


def verify(lines: Iterable[bytes], *, expect_seq: int = 1, prev: bytes = ZERO) -> ChainVerdict:
    """Check lines as a file opened for bytes yields them, each with its line feed.

    Finds each changed, removed, inserted and reordered line by its place. `expect_seq` and `prev` (32 bytes) say where
    the lines begin, for a rotated file. Findings: AUDIT_LINE, AUDIT_CHANGED, AUDIT_GAP, and AUDIT_TORN as a notice.
    """
    head, entries, rest = prev, 0, iter(lines)
    try:
        for line in rest:
            if line[-1:] != b"\n" and next(rest, None) is None:
                torn = Finding("AUDIT_TORN", f"line {entries + 1}", f"{len(line)} bytes without a line feed", "notice")
                return ChainVerdict(entries, head, None, (torn,), line)
            head = _checked(line, expect_seq + entries, head)
            entries += 1
    except Refusal as refusal:
        found = Finding(refusal.finding.error_id, f"line {entries + 1}", refusal.finding.detail)
        return ChainVerdict(entries, head, entries + 1, (found,))
    return ChainVerdict(entries, head, None, ())


def _checked(line: bytes, seq: int, prev: bytes) -> bytes:
    """The hash of a good line. That decoding and encoding give the same bytes proves that it has one reading."""
    if len(line) > MAX_LINE or line[-1:] != b"\n":
        raise Refusal("AUDIT_LINE", "line", "it is too long or does not end in a line feed")
    text = line[:-1]
    try:
        entry = _decode(text)
        claims = entry[PREV], entry[THIS], entry["seq"]
        if _encode(entry) != text:
            raise Refusal("AUDIT_LINE", "line", "it is not written as canonical JSON")
        piece = (_PIECE % claims[:2]).encode()
    except (msgspec.DecodeError, UnicodeError, RecursionError, KeyError) as error:
        raise Refusal("AUDIT_LINE", "line", "it is not an entry in canonical JSON") from error
    before, _, after = text.partition(piece)
    body = before + after
    this = link(prev, body)
    if claims == (prev.hex(), this.hex(), seq):
        return this
    raise _broken(claims, seq, prev, body)


def _broken(claims: tuple[Any, Any, Any], seq: int, prev: bytes, body: bytes) -> Refusal:
    """Why a canonical line does not fit: it was changed, or it is whole and belongs to another place."""
    claimed_prev, claimed, claimed_seq = claims
    try:
        whole = link(bytes.fromhex(claimed_prev), body).hex() == claimed
    except (TypeError, ValueError):
        whole = False
    if not whole:
        return Refusal("AUDIT_CHANGED", "line", "its content does not have the hash that it carries")
    place = f"it is entry {claimed_seq}, where {seq} must stand"
    link_broken = f"it does not follow the entry before it ({prev.hex()[:12]}…)"
    return Refusal("AUDIT_GAP", "line", link_broken if claimed_seq == seq else place)


def _refuse_other_values(value: Any) -> None:
    match value:
        case None | bool() | str():
            pass
        case int() if -_MAX_INT <= value <= _MAX_INT:
            pass
        case list() | tuple():
            for item in value:
                _refuse_other_values(item)
        case dict() if all(isinstance(key, str) and key.isascii() for key in value):
            for item in value.values():
                if type(item) is not str:  # most are, and may be
                    _refuse_other_values(item)
        case _:
            raise ValueError(f"an audit entry cannot hold a value of type {type(value).__name__} or that size or key")


def _encoded(value: Mapping[str, Any]) -> bytes:
    try:
        return _encode(value)
    except UnicodeError as error:
        raise ValueError("an audit entry holds text that is not Unicode") from error
