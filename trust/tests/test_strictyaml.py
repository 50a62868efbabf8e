"""Strict YAML: what a document says is what stands in it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloned_trust import strictyaml
from cloned_trust.verdict import Refusal


def read(text: str) -> Any:
    return strictyaml.loads(text.encode(), what="a file")


def refusal(data: bytes | str) -> str:
    with pytest.raises(Refusal) as caught:
        strictyaml.loads(data.encode() if isinstance(data, str) else data, what="a file")
    assert caught.value.finding.error_id in {"FILE_SYNTAX", "FILE_TOO_LARGE"}
    return caught.value.finding.detail


def test_plain_values_are_read_by_the_core_schema() -> None:
    text = "a: yes\nb: 12\nc: 0o14\nd: 0x1F\ne: 1.5e3\nf: ~\ng:\nh: True\ni: 1_000\nj: -3\nk: .5\nl: '1'\nm: null\n"
    assert read(text) == {
        "a": "yes", "b": 12, "c": 12, "d": 31, "e": 1500.0, "f": None, "g": None, "h": True, "i": "1_000", "j": -3,
        "k": 0.5, "l": "1", "m": None,
    }  # fmt: skip


def test_a_time_stays_text_and_a_merge_key_is_a_key() -> None:
    assert read("at: 2026-01-01T00:00:00Z\nday: 2026-01-01\n<<: {a: 1}") == {
        "at": "2026-01-01T00:00:00Z", "day": "2026-01-01", "<<": {"a": 1},
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "~"])
def test_an_empty_document_is_none(text: str) -> None:
    assert read(text) is None


def test_an_alias_bomb_is_refused_at_its_first_anchor() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{c}: &{c} [*{p}, *{p}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True))
    assert refusal(bomb) == "line 1: anchors, aliases and tags are not read; write the value out"
    assert "line 2" in refusal("x: 1\ny: *gone\n")


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.system [id]", "a: !!str 1", "a: ! x", "!x {}", "- !!binary aGk=", "!!set {a, b}"]
)
def test_tags_are_refused(text: str) -> None:
    assert "tags are not read" in refusal(text)


@pytest.mark.parametrize(
    "text", ["%YAML 1.1\n---\na: yes", "%TAG ! !x\n---\na: 1", "a: 1\n---\nb: 2", "%YAML 1.1\n---\n"]
)
def test_directives_and_second_documents_are_refused(text: str) -> None:
    assert "directives and second documents" in refusal(text)


def test_a_repeated_key_is_refused_at_any_depth() -> None:
    assert refusal("a: 1\na: 2\n") == "line 1: the key 'a' stands twice"
    assert "line 2: the key 'b' stands twice" in refusal("- x\n- {b: 1, 'b': 2}")


@pytest.mark.parametrize("text", ["1: a", "true: a", "? [a]\n: b", "? {a: b}\n: c", "~: a", "1.5: a"])
def test_a_key_that_is_not_text_is_refused(text: str) -> None:
    assert "is not text; quote it" in refusal(text)


@pytest.mark.parametrize("text", [".nan", "-.inf", ".INF", "9" * 20, "1." + "3" * 40, "0x" + "f" * 40, "9" * 100_000])
def test_a_number_that_json_has_not_is_refused(text: str) -> None:
    assert "is not a number that JSON has" in refusal(f"a: {text}")


def test_depth_is_refused_before_it_can_hurt() -> None:
    assert read("[" * 32 + "]" * 32) is not None
    assert "deeper than 32" in refusal("[" * 33 + "]" * 33)
    assert "deeper than 32" in refusal("[" * 200_000)
    assert "deeper than 32" in refusal("- " * 100_000 + "x")


def test_a_large_document_is_refused_before_it_is_parsed() -> None:
    assert refusal(b"\xff" * (strictyaml.MAX_BYTES + 1)) == "262145 bytes; at most 262144 of YAML are read"


@pytest.mark.parametrize("data", [b"a: \xff", b"\xff\xfea\x00", b"a: \xed\xa0\x80"])
def test_what_is_not_utf_8_is_refused(data: bytes) -> None:
    assert "is not UTF-8" in refusal(data)


@pytest.mark.parametrize(
    "text", ["a: \x07", 'a: "\\q"', 'a: "\\U99999999"', 'a: "\\ud800"', "a: [1", "a: 'x", "\t- a", "a: b: c"]
)
def test_broken_text_is_refused(text: str) -> None:
    assert refusal(text)


@given(st.text(st.sampled_from("ab01 \n\t:-?,[]{}#&*!|>'\"%@`\\x~<.+=/U\u2028\ufeff\U0001f600"), max_size=40))
def test_any_text_is_read_as_json_or_refused(text: str) -> None:
    try:
        value = read(text)
    except Refusal:
        return
    assert_json(value)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_as_json_or_refused(data: bytes) -> None:
    try:
        value = strictyaml.loads(data, what="a file")
    except Refusal:
        return
    assert_json(value)


def assert_json(value: object) -> None:
    assert value is None or isinstance(value, str | int | float | list | dict)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        assert_json(part)
    if isinstance(value, str):
        value.encode()
