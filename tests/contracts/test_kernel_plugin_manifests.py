"""What the authors of our kernel plugins wrote fits the manifest's contract, and their metadata agrees with it."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from cloned_schemas.manifest import Manifest

PLUGINS = Path(__file__).parents[2] / "plugins"
KERNEL_PLUGINS = ["cloned-skills", "cloned-vault-file"]


def project(plugin_id: str) -> dict[str, Any]:
    read: dict[str, Any] = tomllib.loads((PLUGINS / plugin_id / "pyproject.toml").read_text())["project"]
    return read


def manifest(plugin_id: str) -> Manifest:
    author = YAML(typ="safe").load((PLUGINS / plugin_id / "plugin.yaml").read_text())
    told = project(plugin_id)
    derived = {
        "id": told["name"],
        "version": told["version"],
        "summary": told["description"],
        "license": told["license"],
    }
    return Manifest.model_validate(author | derived | {"files": []})


@pytest.mark.parametrize("plugin_id", KERNEL_PLUGINS)
def test_the_manifest_fits(plugin_id: str) -> None:
    assert manifest(plugin_id).execution == "kernel"


@pytest.mark.parametrize("plugin_id", KERNEL_PLUGINS)
def test_what_the_host_must_have_is_what_the_project_depends_on(plugin_id: str) -> None:
    assert ["cloned-sdk", *manifest(plugin_id).host_requires] == project(plugin_id)["dependencies"]


@pytest.mark.parametrize("plugin_id", KERNEL_PLUGINS)
def test_every_command_projects_an_operation_of_the_plugin(plugin_id: str) -> None:
    contributes = manifest(plugin_id).contributes
    assert {command.operation for command in contributes.commands} == set(contributes.operations)


@pytest.mark.parametrize("plugin_id", KERNEL_PLUGINS)
def test_every_tool_s_schemas_are_schemas(plugin_id: str) -> None:
    for tool in manifest(plugin_id).tools:
        Draft202012Validator.check_schema(tool.input_schema)
        Draft202012Validator.check_schema(tool.output_schema)
