"""The skills plugin reads packs into its own Structs; they say exactly what the published contract says."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from cloned_schemas.skills import SkillPack

ROOT = Path(__file__).parents[2]
PACK = ROOT / "plugins/cloned-skills/src/cloned_skills/pack.py"


def structs() -> Any:
    """The plugin's module under another name: its package must not be importable in a process with a workspace."""
    name = "skill_pack_values_under_test"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, PACK)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def normal(node: Any, definitions: dict[str, Any]) -> Any:
    """A JSON Schema without what says nothing: titles, descriptions, where definitions stand, how a thing is spelt."""
    if isinstance(node, list):
        return [normal(part, definitions) for part in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        rest = {key: part for key, part in node.items() if key != "$ref"}
        return normal(definitions[node["$ref"].rpartition("/")[2]] | rest, definitions)
    fields = node.get("properties", {})  # names of fields are no keywords: a field called `description` stays
    kept = spelt_alike({key: part for key, part in node.items() if key not in NOTHING})
    return {key: normal(part, definitions) for key, part in kept.items()} | {
        "properties": {name: normal(part, definitions) for name, part in fields.items()},
        "required": sorted(node.get("required", [])),
    }


NOTHING = {"title", "description", "$defs", "properties", "required"}


def spelt_alike(kept: dict[str, Any]) -> dict[str, Any]:
    """What pydantic and msgspec write differently and mean the same by."""
    if "const" in kept:
        kept["enum"] = [kept.pop("const")]
    if "enum" in kept:
        kept = {key: part for key, part in kept.items() if key != "type"} | {"enum": sorted(kept["enum"])}
    if "patternProperties" in kept:
        [(pattern, kept["additionalProperties"])] = kept.pop("patternProperties").items()
        kept["propertyNames"] = kept.get("propertyNames", {}) | {"pattern": pattern}
    if "propertyNames" in kept:
        kept["propertyNames"] = kept["propertyNames"] | {"type": "string"}
    if kept.get("additionalProperties") in (True, {}):
        del kept["additionalProperties"]
    if "pattern" in kept:
        kept["pattern"] = kept["pattern"].replace(r"\Z", "$")
    if kept.get("default") == {"attempts": 1}:
        kept["default"] = {}  # a nested Struct's default, written out by msgspec alone
    return kept


def test_structs_and_contract_have_one_schema() -> None:
    ours = msgspec.json.schema(structs().SkillPack)
    published = SkillPack.model_json_schema()
    assert normal({"$ref": ours["$ref"]}, ours["$defs"]) == normal(published, published["$defs"])


GOOD: dict[str, Any] = {
    "pack_id": "acme.pack",
    "version": "1.0.0",
    "summary": "A pack",
    "constitution": {"allowed_tools": ["acme.docs.*"]},
    "pipelines": [
        {
            "id": "pipeline.acme.one",
            "version": "1.0.0",
            "summary": "One",
            "input_schema": {},
            "steps": [{"id": "look", "tool": "acme.docs.look@v1", "summary": "Look"}],
        }
    ],
}


def by_contract(value: dict[str, Any]) -> bool:
    try:
        SkillPack.model_validate(value)
    except ValidationError:
        return False
    return True


def by_plugin(value: dict[str, Any]) -> bool:
    try:
        msgspec.convert(value, structs().SkillPack, strict=True)
    except msgspec.ValidationError:
        return False
    return True


@pytest.mark.parametrize("judge", [by_contract, by_plugin])
@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"schema_version": 1}, True),
        ({"schema_version": 2}, False),
        ({"schema_version": "1"}, False),
        ({"version": "1.0.0\n"}, False),
        ({"version": "1.0"}, False),
        ({"pack_id": "Acme"}, False),
        ({"pack_id": "acme.pack\n"}, False),
        ({"summary": ""}, False),
        ({"summary": "a\tb"}, False),
        ({"summary": "a" * 301}, False),
        ({"summary": 1}, False),
        ({"pipelines": []}, False),
        ({"surprise": None}, False),
        ({"constitution": {"allowed_tools": ["acme.docs.*"], "max_cost": {"api": True}}}, False),
        ({"constitution": {"allowed_tools": ["acme.docs.*"], "max_cost": {"Api": 1}}}, False),
        ({"constitution": {"allowed_tools": ["acme.docs.*"], "max_cost": {"api": 1}}}, True),
    ],
)
def test_both_judge_a_pack_alike(judge: Callable[[dict[str, Any]], bool], change: dict[str, Any], fits: bool) -> None:
    assert judge(GOOD | change) is fits
