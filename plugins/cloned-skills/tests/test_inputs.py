"""What a run is given becomes JSON that fits the pipeline's schema, or is refused without quoting what was given."""

import os
from pathlib import Path
from typing import Any

import pytest

from cloned_sdk.host import Refused
from cloned_skills.inputs import run_inputs

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["topic"],
    "properties": {
        "topic": {"type": "string", "maxLength": 50},
        "max_sources": {"type": "integer", "minimum": 1, "default": 5},
        "share": {"type": "number"},
        "deep": {"type": "boolean"},
        "labels": {"type": "array", "items": {"type": "integer"}},
    },
}


def refused(given: dict[str, Any], schema: dict[str, Any] = SCHEMA, file: str | None = None) -> Refused:
    with pytest.raises(Refused) as caught:
        run_inputs(schema, given, file)
    return caught.value


def test_text_becomes_what_the_schema_asks_for_and_defaults_are_filled_in() -> None:
    assert run_inputs(SCHEMA, {"topic": "42", "share": "0.5", "deep": "true", "labels": ["1", "2"]}, None) == {
        "topic": "42", "max_sources": 5, "share": 0.5, "deep": True, "labels": [1, 2],
    }  # fmt: skip


def test_one_text_for_a_list_is_a_list_of_one() -> None:
    assert run_inputs(SCHEMA, {"topic": "x", "labels": "7"}, None)["labels"] == [7]


def test_a_dash_stands_for_an_underscore() -> None:
    assert run_inputs(SCHEMA, {"topic": "x", "max-sources": "3"}, None)["max_sources"] == 3


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({}, "topic"),
        ({"topic": "x", "other": "y"}, "other"),
        ({"topic": "x", "max_sources": "many"}, "max_sources"),
        ({"topic": "x", "max_sources": "0"}, "max_sources"),
        ({"topic": "x", "deep": "maybe"}, "deep"),
        ({"topic": "x" * 51}, "topic"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_place(given: dict[str, Any], where: str) -> None:
    refusal = refused(given)
    assert refusal.error_id == "INPUT_INVALID"
    assert where in refusal.fact


def test_a_refusal_does_not_quote_the_value() -> None:
    assert "hunter2" not in refused({"topic": "hunter2" * 10}).fact


def test_a_file_gives_inputs_and_the_named_ones_win(tmp_path: Path) -> None:
    path = tmp_path / "inputs.yaml"
    path.write_text("topic: from file\nmax_sources: 2\n")
    assert run_inputs(SCHEMA, {"topic": "named"}, str(path)) == {"topic": "named", "max_sources": 2}


@pytest.mark.parametrize(
    ("content", "error_id"),
    [
        (b"- 1", "FILE_INVALID"),
        (b"a: &x 1", "FILE_SYNTAX"),
        (b"\xff", "FILE_SYNTAX"),
        (b"x" * 300_000, "FILE_TOO_LARGE"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, content: bytes, error_id: str) -> None:
    path = tmp_path / "inputs.yaml"
    path.write_bytes(content)
    assert refused({}, file=str(path)).error_id == error_id


def test_a_link_a_pipe_a_folder_and_nothing_are_no_input_files(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("topic: x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "", "missing"):
        assert refused({}, file=str(tmp_path / name)).error_id == "FILE_UNREADABLE"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"$ref": "http://127.0.0.1:9/schema"},
        {"properties": {"topic": {"$ref": "file:///etc/passwd"}}},
        {"properties": {"topic": {"$dynamicRef": "other#x"}}},
    ],
)
def test_a_schema_that_is_none_or_looks_elsewhere_is_refused(schema: dict[str, Any]) -> None:
    assert refused({"topic": "x"}, schema).error_id == "PIPELINE_INVALID"
