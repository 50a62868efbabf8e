"""Schemas in a manifest stay inside it."""

from typing import Any

import pytest

from cloned_schemas.manifest import Manifest
from cloned_trust.toolschema import DIALECT, _is_explosive, refused_schemas

OBJECT = {"type": "object"}


def refused(schema: dict[str, Any], *, output: dict[str, Any] | None = None, settings: Any = None) -> list[str]:
    tool = {
        "id": "acme.weather.today@v1",
        "version": "1.0.0",
        "summary": "Say how the sky looks",
        "input_schema": schema,
        "output_schema": output or OBJECT,
        "capability": "weather.read",
        "risk_level": "low",
        "effect": "read",
    }
    manifest = {
        "id": "acme-weather",
        "version": "1.0.0",
        "publisher_id": "acme",
        "summary": "The weather",
        "license": "MIT",
        "execution": "worker",
        "isolation": "sandbox",
        "entry": "python:acme_weather.worker:server",
        "tools": [tool],
        "settings_schema": settings,
        "files": [],
    }
    findings = list(refused_schemas(Manifest.model_validate(manifest)))
    assert {finding.error_id for finding in findings} <= {"TOOL_SCHEMA"}
    return [finding.subject.rpartition(" ")[2] for finding in findings]


def test_references_inside_the_document_are_allowed() -> None:
    inside = {"$defs": {"city": {"type": "string"}}, "properties": {"city": {"$ref": "#/$defs/city"}}}
    assert refused({**OBJECT, "$schema": DIALECT, **inside}, settings=inside) == []


@pytest.mark.parametrize("key", ["$ref", "$dynamicRef", "$recursiveRef"])
@pytest.mark.parametrize("target", ["https://example.com/x", "file:///etc/passwd", "other.json#/x", ""])
def test_references_out_of_the_document_are_refused_wherever_they_stand(key: str, target: str) -> None:
    foreign = {key: target}
    assert refused({**OBJECT, **foreign}) == ["input_schema"]
    assert refused({**OBJECT, "allOf": [{"not": foreign}]}) == ["input_schema"]
    assert refused(OBJECT, output={**OBJECT, "properties": {"x": {"items": foreign}}}) == ["output_schema"]
    assert refused(OBJECT, settings=foreign) == ["settings_schema"]


def test_a_property_of_that_name_is_no_reference() -> None:
    assert refused({**OBJECT, "properties": {"$ref": {"type": "string"}}}) == []


def test_another_dialect_is_refused() -> None:
    assert refused({**OBJECT, "$schema": "http://json-schema.org/draft-07/schema#"}) == ["input_schema"]


@pytest.mark.parametrize("root", [{}, {"type": "string"}, {"type": ["object", "null"]}])
def test_what_mcp_cannot_carry_is_refused(root: dict[str, Any]) -> None:
    assert refused(root) == ["input_schema"]


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(a*)*", "(?:a|aa)+", "(x{1,}y)*", "((a)+b)*", "a" * 501])
def test_a_pattern_that_could_match_for_ever_is_refused(pattern: str) -> None:
    assert _is_explosive(pattern)


@pytest.mark.parametrize(
    "pattern", ["^[0-9a-f]{64}$", "^(ab)+$", r"^\(a+\)+$", "^[(a+)+]+$", "^a+b+c*$", r"^\d{4}-\d\d(\.\d{1,6})?Z$"]
)
def test_an_ordinary_pattern_passes(pattern: str) -> None:
    assert not _is_explosive(pattern)
