"""The digest that pins a tool, and the cap on nesting."""

import json
from hashlib import sha256

import pytest

from cloned_sdk.wire import MAX_DEPTH, too_deep, tool_digest, tool_of

ENTRY = {
    "id": "acme.weather.today@v1",
    "summary": "Tells the weather",
    "input_schema": {"type": "object", "properties": {"b": {}, "a": {}}},
    "output_schema": {"type": "object"},
    "effect": "read",
}


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    turned = json.loads(json.dumps(ENTRY, sort_keys=True))
    turned["input_schema"]["properties"] = {"a": {}, "b": {}}
    assert tool_digest(tool_of(turned)) == tool_digest(tool_of(ENTRY))


def test_the_digest_is_sha256_of_plain_sorted_json() -> None:
    told = {
        "name": ENTRY["id"],
        "description": "Tells the wéather",
        "inputSchema": ENTRY["input_schema"],
        "outputSchema": ENTRY["output_schema"],
        "annotations": {"readOnlyHint": True, "idempotentHint": False, "openWorldHint": False},
    }
    plain = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert tool_digest(tool_of({**ENTRY, "summary": "Tells the wéather"})) == sha256(plain.encode()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"id": "acme.weather.today@v2"},
        {"summary": "Tells the weather."},
        {"description": "More"},
        {"input_schema": {"type": "object", "properties": {"a": {}}}},
        {"output_schema": {}},
        {"effect": "write"},
        {"idempotent": True},
        {"egress": [{"host": "example.com"}]},
    ],
)
def test_the_digest_changes_with_everything_a_reader_is_told(change: dict[str, object]) -> None:
    assert tool_digest(tool_of({**ENTRY, **change})) != tool_digest(tool_of(ENTRY))


def test_the_digest_does_not_change_with_defaults_written_out() -> None:
    spelled = {**ENTRY, "description": "", "idempotent": False, "egress": [], "risk_level": "low"}
    assert tool_digest(tool_of(spelled)) == tool_digest(tool_of(ENTRY))


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_nesting_is_counted_exactly(opening: str, closing: str) -> None:
    levels = MAX_DEPTH // len(closing)
    allowed = opening * levels + "1" + closing * levels
    assert not too_deep(allowed.encode())
    assert too_deep(f"[{allowed}]".encode())


def test_width_and_brackets_in_text_are_not_depth() -> None:
    assert not too_deep(json.dumps([[] for _ in range(1000)]).encode())
    assert not too_deep(json.dumps({"text": "[{" * 1000}).encode())


def test_what_is_no_json_is_an_error_where_it_must_be_read() -> None:
    with pytest.raises(ValueError, match=r"malformed|truncated"):
        too_deep(b"[" * 100)
    with pytest.raises(RecursionError):
        too_deep(b"[" * 100_000 + b"]" * 100_000)
