"""The audit chain: every change is found, and the first bad line is named."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cloned_schemas.errors import spec
from cloned_trust import chain

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abz_", min_size=1), inner, max_size=3),
    max_leaves=6,
)


def entry(seq: int, **fields: Any) -> dict[str, Any]:
    return {"seq": seq, "id": f"id-{seq}", "kind": "intent", "actor": "operator", "details": {"n": seq}, **fields}


def sealed(count: int, *, first: int = 1, prev: bytes = chain.ZERO) -> list[bytes]:
    lines = []
    for seq in range(first, first + count):
        line, prev = chain.seal(entry(seq), prev)
        lines.append(line + b"\n")
    return lines


HONEST = sealed(6)


def first_difference(lines: list[bytes]) -> int | None:
    """The first line, from 1, at which these are not the honest ones; None where they are its beginning."""
    for number, line in enumerate(lines):
        if number >= len(HONEST) or line != HONEST[number]:
            return number + 1
    return None


def test_an_honest_chain_is_intact_and_its_head_is_the_last_hash() -> None:
    verdict = chain.verify(HONEST)
    assert verdict.intact
    assert (verdict.entries, verdict.findings, verdict.torn) == (6, (), None)
    assert verdict.head.hex() == json.loads(HONEST[-1])["chain_this_hash"]


def test_the_hash_is_what_the_contract_says() -> None:
    line, this = chain.seal(entry(1), chain.ZERO)
    body = json.dumps(entry(1), sort_keys=True, separators=(",", ":")).encode()
    assert this == hashlib.sha256(b"cloned.audit.v1\0" + bytes(32) + body).digest()
    assert json.loads(line) == {**entry(1), "chain_prev_hash": "0" * 64, "chain_this_hash": this.hex()}


def test_what_an_entry_already_says_of_its_place_is_not_hashed() -> None:
    line, this = chain.seal(entry(1), chain.ZERO)
    assert chain.seal(json.loads(line), chain.ZERO) == (line, this)
    assert chain.canonical(json.loads(line)) == chain.canonical(entry(1))


def test_nothing_is_an_intact_chain_of_nothing() -> None:
    assert chain.verify([]) == chain.ChainVerdict(0, chain.ZERO, None, ())


def test_a_rotated_file_is_verified_from_where_it_begins() -> None:
    head = bytes.fromhex(json.loads(HONEST[2])["chain_this_hash"])
    assert chain.verify(HONEST[3:], expect_seq=4, prev=head).entries == 3
    assert chain.verify(HONEST[3:], expect_seq=4).first_bad_line == 1
    assert chain.verify(HONEST[3:], expect_seq=5, prev=head).first_bad_line == 1
    assert chain.verify(HONEST[3:]).first_bad_line == 1


@given(st.lists(st.sampled_from(HONEST), max_size=9))
def test_any_removal_insertion_and_reordering_names_the_first_bad_line(lines: list[bytes]) -> None:
    verdict = chain.verify(lines)
    assert verdict.first_bad_line == first_difference(lines)
    if not verdict.intact:
        assert [finding.error_id for finding in verdict.findings] == ["AUDIT_GAP"]
        assert verdict.entries == (verdict.first_bad_line or 0) - 1


@given(st.integers(0, 5), st.data())
def test_any_changed_bytes_name_the_first_bad_line(number: int, data: st.DataObject) -> None:
    line = bytearray(HONEST[number])
    for _ in range(data.draw(st.integers(1, 3))):
        line[data.draw(st.integers(0, len(line) - 2))] = data.draw(st.integers(0, 255))
    lines = [*HONEST[:number], bytes(line), *HONEST[number + 1 :]]
    assume(lines != HONEST)
    verdict = chain.verify(lines)
    assert verdict.first_bad_line == number + 1
    assert verdict.findings[0].subject == f"line {number + 1}"
    assert verdict.findings[0].error_id in {"AUDIT_CHANGED", "AUDIT_LINE", "AUDIT_GAP"}


def test_every_single_byte_of_a_line_is_bound() -> None:
    for place in range(len(HONEST[1]) - 1):
        for value in (0x00, 0x20, 0x22, 0x30, 0x31, 0x61, HONEST[1][place] ^ 1, HONEST[1][place] ^ 0x20):
            changed = HONEST[1][:place] + bytes([value]) + HONEST[1][place + 1 :]
            expected = None if changed == HONEST[1] else 2
            assert chain.verify([HONEST[0], changed, *HONEST[2:]]).first_bad_line == expected


@given(st.integers(0, 4), values)
def test_a_line_sealed_anew_breaks_the_line_behind_it(number: int, value: Any) -> None:
    prev = bytes.fromhex(json.loads(HONEST[number])["chain_prev_hash"])
    forged, _ = chain.seal(entry(number + 1, actor="mallory", details={"n": value}), prev)
    verdict = chain.verify([*HONEST[:number], forged + b"\n", *HONEST[number + 1 :]])
    assert verdict.first_bad_line == number + 2
    assert verdict.findings[0].error_id == "AUDIT_GAP"


@pytest.mark.parametrize(
    "rewritten",
    [
        lambda line: line.replace(b'{"actor"', b'{ "actor"'),
        lambda line: b"{" + line[1:-2].replace(b'"actor":"operator",', b"") + b',"actor":"operator"}\n',
        lambda line: line.replace(b'{"actor"', b'{"actor":"mallory","actor"'),
        lambda line: line.replace(b"operator", b"\\u006fperator"),
        lambda line: line.replace(b"\n", b"\r\n"),
        lambda line: b"[" + line[:-1] + b"]\n",
        lambda _: b"\n",
        lambda _: b"{}\n",
        lambda _: b"not json\n",
        lambda _: b'{"seq":2,"seq":2}\n',
        lambda _: b"[" * 5000 + b"\n",
        lambda line: line[:-2] + b',"zzz":"' + b"z" * chain.MAX_LINE + b'"}\n',
    ],
)
def test_another_spelling_of_the_same_entry_is_a_bad_line(rewritten: Any) -> None:
    verdict = chain.verify([HONEST[0], rewritten(HONEST[1]), *HONEST[2:]])
    assert verdict.first_bad_line == 2
    assert [finding.error_id for finding in verdict.findings] == ["AUDIT_LINE"]


def test_changed_and_misplaced_lines_are_told_apart() -> None:
    changed = [HONEST[0], HONEST[1].replace(b"operator", b"0perator"), *HONEST[2:]]
    assert chain.verify(changed).findings[0].error_id == "AUDIT_CHANGED"
    renumbered = [HONEST[0], HONEST[1].replace(b'"seq":2', b'"seq":3'), *HONEST[2:]]
    assert chain.verify(renumbered).findings[0].error_id == "AUDIT_CHANGED"
    unhashed = [HONEST[0], HONEST[1].replace(b'prev_hash":"', b'prev_hash":"x'), *HONEST[2:]]
    assert chain.verify(unhashed).findings[0].error_id == "AUDIT_CHANGED"
    removed = [HONEST[0], *HONEST[2:]]
    assert chain.verify(removed).findings[0].detail == "it is entry 3, where 2 must stand"
    repeated_number, _ = chain.seal(entry(9), bytes.fromhex(json.loads(HONEST[0])["chain_this_hash"]))
    assert chain.verify([HONEST[0], repeated_number + b"\n"]).findings[0].error_id == "AUDIT_GAP"
    other_chain, _ = chain.seal(entry(2), bytes(31) + b"\1")
    assert "does not follow the entry before" in chain.verify([HONEST[0], other_chain + b"\n"]).findings[0].detail


@given(st.integers(0, 5), st.data())
def test_a_torn_last_line_is_kept_aside_and_breaks_nothing(number: int, data: st.DataObject) -> None:
    torn = HONEST[number][: data.draw(st.integers(1, len(HONEST[number]) - 1))]
    verdict = chain.verify([*HONEST[:number], torn])
    assert verdict.intact
    assert (verdict.entries, verdict.torn) == (number, torn)
    assert [(one.error_id, one.severity) for one in verdict.findings] == [("AUDIT_TORN", "notice")]


def test_a_line_without_line_feed_in_the_middle_is_a_bad_line() -> None:
    for other in (HONEST[1][:-1], HONEST[1][:-1] + b" "):
        verdict = chain.verify([HONEST[0], other, *HONEST[2:]])
        assert (verdict.first_bad_line, verdict.torn) == (2, None)
        assert verdict.findings[0].error_id == "AUDIT_LINE"


@given(st.dictionaries(st.text("abcdefz_", min_size=1, max_size=8), values, max_size=6))
def test_canonical_bytes_are_sorted_compact_json(fields: dict[str, Any]) -> None:
    rfc8785 = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert chain.canonical(fields) == rfc8785.encode()
    line, this = chain.seal({**fields, "seq": 1}, chain.ZERO)
    verdict = chain.verify([line + b"\n"])
    assert verdict.intact
    assert verdict.head == this


@pytest.mark.parametrize(
    "value", [1.5, 2**53, -(2**53), b"x", {"é": 1}, {1: 2}, {"a": [float("nan")]}, {1, 2}, "\ud800"]
)
def test_values_that_two_encoders_write_differently_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="audit entry"):
        chain.canonical({"seq": 1, "value": value})


def test_an_entry_too_long_for_a_line_is_not_sealed() -> None:
    with pytest.raises(ValueError, match="at most"):
        chain.seal(entry(1, details={"text": "x" * chain.MAX_LINE}), chain.ZERO)


@pytest.mark.parametrize("error_id", ["AUDIT_CHANGED", "AUDIT_GAP", "AUDIT_LINE", "AUDIT_TORN"])
def test_each_finding_is_registered(error_id: str) -> None:
    assert spec(error_id).family == "trust_refused"
