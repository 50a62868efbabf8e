"""What our worker plugins declare is what their code takes and answers, and the research pack fits the skills contract.

The plugins run in a process of their own, as their packages must not be importable beside a workspace.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from cloned.monitor.artifacts import SAVE
from cloned_schemas.manifest import Manifest
from cloned_schemas.skills import SkillPack
from cloned_schemas.tool import Tool

PLUGINS = Path(__file__).parents[2] / "plugins"
WORKERS = ("cloned-connector-documents", "cloned-research")
QUESTION = "How do approvals work?"
GUIDE = "# Guide\n\n## Approvals\n\nA call that publishes waits until a person has approved it.\n\nApprovals expire.\n"
DRIVER = """
import json, sys
from cloned_connector_documents import worker as documents
from cloned_research import worker as research
from cloned_sdk import Call
import msgspec

call = Call(tool_id="-", call_id="c", settings={}, granted={"documents": sys.argv[1]}, send=print, token=None)
def run(function, type_, **inputs):
    return msgspec.to_builtins(function(msgspec.convert(inputs, type_), call))
search = run(documents.search, documents.SearchInputs, query=sys.argv[2])
told = {
    "cloned.documents.list@v1": run(documents.list_documents, documents.ListInputs),
    "cloned.documents.search@v1": search,
    "cloned.documents.read@v1": run(documents.read, documents.ReadInputs, folder="documents", path="guide.md"),
    "cloned.research.synthesize@v1": run(
        research.synthesize, research.Inputs, question=sys.argv[2], passages=search["passages"]
    ),
}
types = (documents.ListInputs, documents.SearchInputs, documents.ReadInputs, research.Inputs)
schemas = dict(zip(told, (msgspec.json.schema(type_) for type_ in types)))
json.dump({"told": told, "schemas": schemas}, sys.stdout)
"""
COMPARED = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "enum", "default")


def author(plugin_id: str) -> dict[str, Any]:
    written: dict[str, Any] = YAML(typ="safe").load((PLUGINS / plugin_id / "plugin.yaml").read_text())
    return written


def tools() -> dict[str, Tool]:
    derived = {"version": "0.1.0", "summary": "-", "license": "Apache-2.0", "files": []}
    manifests = [Manifest.model_validate(author(plugin) | derived | {"id": plugin}) for plugin in WORKERS]
    return {tool.id: tool for manifest in manifests for tool in manifest.tools}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each tool answered, and the schema of what it takes."""
    docs = tmp_path_factory.mktemp("docs")
    (docs / "guide.md").write_text(GUIDE)
    (docs / "broken.md").write_bytes(b"\xff")
    homes = ":".join(str(PLUGINS / plugin / "src") for plugin in WORKERS)
    command = [sys.executable, "-c", DRIVER, str(docs), QUESTION]
    done = subprocess.run(command, env={"PYTHONPATH": homes}, capture_output=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("tool_id", sorted(tools()))
def test_what_a_tool_answers_fits_its_schema(ran: dict[str, Any], tool_id: str) -> None:
    validator = Draft202012Validator(tools()[tool_id].output_schema)
    assert list(validator.iter_errors(ran["told"][tool_id])) == []
    assert list(validator.iter_errors(ran["told"][tool_id] | {"more": 1})) != []


@pytest.mark.parametrize("tool_id", sorted(tools()))
def test_what_a_tool_takes_is_what_its_code_decodes(ran: dict[str, Any], tool_id: str) -> None:
    declared, decoded = tools()[tool_id].input_schema, ran["schemas"][tool_id]
    assert limits(declared, declared) == limits(decoded, decoded)


@pytest.mark.parametrize("tool_id", sorted(tools()))
def test_the_examples_fit(tool_id: str) -> None:
    schema = tools()[tool_id].input_schema
    assert schema["examples"]
    for example in schema["examples"]:
        Draft202012Validator(schema).validate(example)


def limits(node: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """The fields of an object's schema with their limits, as far as they decide what is valid."""
    if "$ref" in node:
        return limits(whole["$defs"][node["$ref"].rpartition("/")[2]], whole)
    if "anyOf" in node:
        return limits(next(one for one in node["anyOf"] if one.get("type") != "null"), whole)
    told: dict[str, Any] = {key: node[key] for key in COMPARED if node.get(key) is not None}
    if "enum" in told:
        told["enum"] = sorted(told["enum"])
    if "items" in node:
        told["items"] = limits(node["items"], whole)
    if "properties" in node:
        told["required"] = sorted(node.get("required", []))
        told["fields"] = {name: limits(part, whole) for name, part in node["properties"].items()}
    return told


def test_no_output_holds_a_number_that_is_not_whole(ran: dict[str, Any]) -> None:
    def parts(value: Any) -> list[Any]:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return [value, *(part for one in inner for part in parts(one))]

    assert not [one for one in parts(ran["told"]) if isinstance(one, float)]


def test_a_report_can_be_saved_with_its_provenance(ran: dict[str, Any]) -> None:
    report = ran["told"]["cloned.research.synthesize@v1"]
    assert report["found"]
    Draft202012Validator(SAVE.input_schema).validate(
        {
            "name": report["file_name"],
            "media_type": "text/markdown",
            "content": report["markdown"],
            "inputs_hash": "0" * 64,
            "provenance": report["provenance"],
        }
    )


def test_the_research_pack_fits_and_asks_only_for_what_its_constitution_allows() -> None:
    (contributed,) = author("cloned-research")["contributes"]["skill_packs"]
    pack = SkillPack.model_validate(
        YAML(typ="safe").load((PLUGINS / "cloned-research/src" / contributed["path"]).read_text())
    )
    assert pack.pack_id == contributed["id"]
    (pipeline,) = pack.pipelines
    assert pipeline.id == "pipeline.research.report"
    assert [step.id for step in pipeline.steps] == ["search", "synthesize", "save", "export"]
    assert {step.tool for step in pipeline.steps} <= set(pack.constitution.allowed_tools)
    assert pipeline.steps[-1].tool in pack.constitution.gates
    Draft202012Validator.check_schema(pipeline.input_schema)
