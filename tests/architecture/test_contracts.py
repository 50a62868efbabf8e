"""What is generated or listed in two places is the same in both."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cloned_schemas import generate
from tests.architecture import tree
from tests.architecture.tree import ROOT, Problems, write

_BARE = ("data", "worker")


def _tables(root: Path) -> dict[str, Any]:
    tables: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["tool"]
    return tables


def plugins(root: Path) -> dict[str, Path]:
    """Import package → folder, of every plugin."""
    return {path.parent.name.replace("-", "_"): path.parent for path in sorted(root.glob("plugins/*/pyproject.toml"))}


def packages(root: Path) -> set[str]:
    """Every import package that has Python, a plugin's or not."""
    sources = {path.relative_to(root).parts for path in tree.sources(root)}
    return {parts[parts.index("src") + 1] for parts in sources}


def import_contracts(root: Path) -> Problems:
    """The import contracts name every package, each in its part, and no other."""
    linter = _tables(root)["importlinter"]
    rules = {contract["id"]: contract for contract in linter["contracts"]}
    of_plugins = packages(root) & set(plugins(root))
    layers = packages(root) - of_plugins
    sources = {one for rule in rules.values() for one in rule.get("source_modules", ())}
    wanted = {
        "root_packages": (set(linter["root_packages"]), packages(root)),
        "the sources of all contracts": (sources, packages(root)),
        "the sources of plugins-sdk-only": (set(rules["plugins-sdk-only"]["source_modules"]), of_plugins),
        "what plugins-sdk-only forbids": (set(rules["plugins-sdk-only"]["forbidden_modules"]), layers - {"cloned_sdk"}),
        "contract plugins-independent": (set(rules["plugins-independent"]["modules"]), of_plugins),
    }
    return [
        f"pyproject.toml: {where} names {sorted(found)}, the tree has {sorted(there)}"
        for where, (found, there) in wanted.items()
        if found != there
    ]


def plugin_tests(root: Path) -> Problems:
    """Each plugin's tests run once: without the kernel where it runs outside it, with the kernel where inside."""
    environments = _tables(root)["tox"]["env"]
    ran = {
        name: " ".join(str(part) for command in environments[name]["commands"] for part in command)
        for name in ("test", "bare")
    }
    problems = []
    for folder in plugins(root).values():
        if not any(folder.glob("tests/*.py")):
            continue  # data alone: its packs are judged where the kernel's models are
        execution = YAML(typ="safe", pure=True).load((folder / "plugin.yaml").read_text())["execution"]
        wanted = {"bare" if execution in _BARE else "test"}
        found = {name for name, commands in ran.items() if f"plugins/{folder.name}/tests" in commands}
        if found != wanted:
            problems.append(
                f"pyproject.toml: tox runs plugins/{folder.name}/tests in {sorted(found)}, not in {sorted(wanted)}"
            )
    return problems


def test_schemas_equal_their_models() -> None:
    assert generate.drift() == []


def test_a_schema_that_was_edited_or_forgotten_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "FOLDER", tmp_path / "json")
    assert generate.main([]) == 0
    assert generate.drift() == []
    (tmp_path / "json" / "tool.schema.json").write_text("{}")
    (tmp_path / "json" / "lock.schema.json").unlink()
    write(tmp_path, "json/orphan.schema.json", "{}")
    assert generate.drift() == ["lock.schema.json", "orphan.schema.json", "tool.schema.json"]


def test_import_contracts_cover_every_package() -> None:
    assert import_contracts(ROOT) == []


def test_every_plugins_tests_run_where_they_must() -> None:
    assert plugin_tests(ROOT) == []


LISTS = """
[tool.importlinter]
root_packages = ["cloned", "acme_one"]
[[tool.importlinter.contracts]]
id = "kernel"
source_modules = ["cloned"]
[[tool.importlinter.contracts]]
id = "plugins-sdk-only"
source_modules = ["acme_one"]
forbidden_modules = ["cloned"]
[[tool.importlinter.contracts]]
id = "plugins-independent"
modules = ["acme_one"]
[tool.tox.env.test]
commands = [["pytest", "tests"]]
[tool.tox.env.bare]
commands = [["pytest", "plugins/acme-one/tests"]]
"""


def made_up(root: Path) -> Path:
    """A tree with one worker plugin that every list names."""
    write(root, "pyproject.toml", LISTS)
    write(root, "kernel/core/src/cloned/a.py", "")
    write(root, "plugins/acme-one/pyproject.toml", "")
    write(root, "plugins/acme-one/plugin.yaml", "execution: worker\n")
    write(root, "plugins/acme-one/src/acme_one/worker.py", "")
    write(root, "plugins/acme-one/tests/test_worker.py", "")
    return root


def test_lists_that_name_every_plugin_are_fine(tmp_path: Path) -> None:
    assert import_contracts(made_up(tmp_path)) == []
    assert plugin_tests(tmp_path) == []


def test_a_plugin_that_no_list_names_is_found(tmp_path: Path) -> None:
    made_up(tmp_path)
    write(tmp_path, "plugins/acme-two/pyproject.toml", "")
    write(tmp_path, "plugins/acme-two/plugin.yaml", "execution: data\n")
    assert import_contracts(tmp_path) == []
    assert plugin_tests(tmp_path) == []
    write(tmp_path, "plugins/acme-two/tests/test_pack.py", "")
    assert len(plugin_tests(tmp_path)) == 1
    write(tmp_path, "plugins/acme-two/src/acme_two/a.py", "")
    assert len(import_contracts(tmp_path)) == 4


def test_a_new_layer_that_no_list_names_is_found(tmp_path: Path) -> None:
    write(made_up(tmp_path), "kernel/disks/src/cloned_disks/a.py", "")
    assert len(import_contracts(tmp_path)) == 3


def test_a_listed_plugin_that_is_gone_is_found(tmp_path: Path) -> None:
    (made_up(tmp_path) / "plugins/acme-one/src/acme_one/worker.py").unlink()
    assert len(import_contracts(tmp_path)) == 4


def test_a_kernel_plugin_among_the_bare_ones_is_found(tmp_path: Path) -> None:
    write(made_up(tmp_path), "plugins/acme-one/plugin.yaml", "execution: kernel\n")
    assert len(plugin_tests(tmp_path)) == 1
    assert tree.name(tmp_path, tmp_path / "plugins") == "plugins"
