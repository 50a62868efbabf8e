"""Strict JSON: one reading or none."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloned_trust import strictjson
from cloned_trust.verdict import Refusal

Pairs = list[tuple[str, Any]]

scalars = st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.text(max_size=8)
values = st.recursive(
    scalars | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
keys = st.sampled_from(["a", "b", "é", "\n"])
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(keys, inner), max_size=4).map(tuple),
    max_leaves=12,
)
"""Objects as tuples of pairs, so that a key can stand twice."""


def refusal(data: bytes, **limits: int) -> str:
    with pytest.raises(Refusal) as caught:
        strictjson.loads(data, what="a document", **limits)
    assert caught.value.finding.subject == "a document"
    return caught.value.finding.error_id


def outcome(data: bytes) -> tuple[Any, str]:
    """The value and no error id, or None and the refusal's."""
    try:
        return strictjson.loads(data, what="x"), ""
    except Refusal as refusal:
        return None, refusal.finding.error_id


def written(tree: Any, draw: Callable[[st.SearchStrategy[Any]], Any]) -> str:
    """A tree as JSON, each string escaped or not, spaces here and there: what an attacker may vary."""
    space: str = draw(st.sampled_from(["", " ", "\n"]))
    if isinstance(tree, tuple):
        pairs = [f"{written(key, draw)}{space}:{written(value, draw)}" for key, value in tree]
        return "{" + space + ",".join(pairs) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(written(item, draw) for item in tree) + space + "]"
    if isinstance(tree, str) and draw(st.booleans()) and tree.isascii():
        return '"' + "".join(f"\\u{ord(char):04x}" for char in tree) + '"'
    return json.dumps(tree, ensure_ascii=draw(st.booleans()))


def doubled(tree: Any) -> bool:
    if isinstance(tree, list):
        return any(doubled(item) for item in tree)
    if not isinstance(tree, tuple):
        return False
    return len({key for key, _ in tree}) < len(tree) or any(doubled(value) for _, value in tree)


def plain(tree: Any) -> Any:
    if isinstance(tree, tuple):
        return {key: plain(value) for key, value in tree}
    return [plain(item) for item in tree] if isinstance(tree, list) else tree


@given(values)
def test_what_json_writes_is_read_back(value: Any) -> None:
    assert strictjson.loads(json.dumps(value).encode(), what="x") == value
    assert strictjson.loads(json.dumps(value, ensure_ascii=False).encode(), what="x") == value


@given(st.data(), trees)
def test_a_key_that_stands_twice_anywhere_is_refused_and_nothing_else_is(data: st.DataObject, tree: Any) -> None:
    text = written(tree, data.draw).encode()
    if doubled(tree):
        assert refusal(text) == "JSON_DUPLICATE_KEY"
    else:
        assert strictjson.loads(text, what="x") == plain(tree)


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u0123456789-+.eENaIyt \n', max_size=40).map(str.encode))
def test_any_bytes_are_read_as_the_standard_reader_reads_them_or_refused(data: bytes) -> None:
    value, error_id = outcome(data)
    assert error_id.startswith("JSON_") or json.loads(data) == value


@pytest.mark.parametrize(
    ("data", "error_id"),
    [
        (b'{"a":1,"a":1}', "JSON_DUPLICATE_KEY"),
        (b'[{"a":{"b":1,"\\u0062":2}}]', "JSON_DUPLICATE_KEY"),
        (b"NaN", "JSON_NUMBER"),
        (b"[-Infinity]", "JSON_NUMBER"),
        (b"1e999", "JSON_NUMBER"),
        (b"0." + b"0" * 100, "JSON_NUMBER"),
        (b"1" * 20, "JSON_NUMBER"),
        (b"-" + b"1" * 100_000, "JSON_NUMBER"),
        (b"\xef\xbb\xbf{}", "JSON_TEXT"),
        (b'"\xff"', "JSON_TEXT"),
        (b'"\xed\xa0\x80"', "JSON_TEXT"),
        (b'"\\ud800"', "JSON_TEXT"),
        (b'{"\\uDFFF":1}', "JSON_TEXT"),
        ('"x"'.encode("utf-16"), "JSON_TEXT"),
        (b"", "JSON_INVALID"),
        (b"{}{}", "JSON_INVALID"),
        (b"{'a':1}", "JSON_INVALID"),
        (b'{"a":1,}', "JSON_INVALID"),
        (b'"\x01"', "JSON_INVALID"),
        (b"01", "JSON_INVALID"),
    ],
)
def test_each_way_to_be_read_twice_has_its_own_error(data: bytes, error_id: str) -> None:
    assert refusal(data) == error_id


def test_a_whole_surrogate_pair_is_text() -> None:
    assert strictjson.loads(b'"\\ud83d\\ude00"', what="x") == "\N{GRINNING FACE}"


def test_the_depth_is_counted_before_the_parser_recurses() -> None:
    assert strictjson.loads(b"[" * 32 + b"]" * 32, what="x")
    assert refusal(b"[" * 33 + b"]" * 33) == "JSON_DEPTH"
    assert refusal(b'{"a":' * 500_000, max_bytes=1 << 22) == "JSON_DEPTH"
    assert strictjson.loads(b'["' + b"[" * 100 + b'\\"{"]', what="x") == ["[" * 100 + '"{']
    assert strictjson.loads(b"[[],[],[]]", what="x", max_depth=2) == [[], [], []]


def test_the_size_is_judged_first() -> None:
    assert refusal(b'"' + b"x" * (1 << 20)) == "JSON_SIZE"
    assert refusal(b"[1]", max_bytes=2) == "JSON_SIZE"


def test_a_megabyte_of_open_quotes_is_refused_in_linear_work() -> None:
    assert refusal(b'"' + b'\\"' * ((1 << 19) - 1)) == "JSON_INVALID"
