"""The arrows of the architecture: import-linter reads the imports of every distribution and plugin, run nowhere."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, write


def linted(folder: Path, config: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    """import-linter over the packages in `paths`, in a process of its own."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    arguments = [sys.executable, "-c", code, "--no-cache", "--config", config]
    environment = {**os.environ, "PYTHONPATH": ":".join(str(path) for path in paths)}
    return subprocess.run(arguments, check=False, capture_output=True, text=True, cwd=folder, env=environment)


def test_every_arrow_holds() -> None:
    result = linted(ROOT, "pyproject.toml", *(ROOT / "plugins").glob("*/src"))
    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


WRONG = [
    ("cloned_schemas", "cloned_trust"),
    ("cloned_sdk", "cloned_schemas"),
    ("cloned_sdk", "cloned_trust"),
    ("cloned_trust", "cloned_sdk"),
    ("cloned_trust", "cloned"),
    ("cloned_storage", "cloned"),
    ("cloned_storage", "cloned_workers"),
    ("cloned_workers", "cloned"),
    ("cloned_workers", "cloned_storage"),
    ("cloned_workers", "cloned_trust"),
    ("cloned", "cloned_cli"),
    ("cloned", "cloned_operations"),
    ("cloned", "cloned_devkit"),
    ("cloned", "cloned_skills"),
    ("cloned_operations", "cloned_cli"),
    ("cloned_operations", "cloned_devkit"),
    ("cloned_cli", "cloned_devkit"),
    ("cloned_cli", "cloned_research"),
    ("cloned_devkit", "cloned"),
    ("cloned_devkit", "cloned_operations"),
    ("cloned_skills", "cloned"),
    ("cloned_skills", "cloned_storage"),
    ("cloned_skills", "cloned_schemas"),
    ("cloned_research", "cloned_skills"),
]


@pytest.fixture
def empty_packages(tmp_path: Path) -> Path:
    """The same contracts over packages that import nothing."""
    text = (ROOT / "pyproject.toml").read_text()
    for package in tomllib.loads(text)["tool"]["importlinter"]["root_packages"]:
        write(tmp_path, f"{package}/__init__.py", "")
    write(tmp_path, "pyproject.toml", text)
    return tmp_path


def test_packages_that_import_nothing_keep_every_arrow(empty_packages: Path) -> None:
    assert linted(empty_packages, "pyproject.toml", empty_packages).returncode == 0


def test_every_arrow_in_the_wrong_direction_is_found(empty_packages: Path) -> None:
    for number, (importer, imported) in enumerate(WRONG):
        write(empty_packages, f"{importer}/wrong{number}.py", f"import {imported}\n")
    result = linted(empty_packages, "pyproject.toml", empty_packages)
    assert result.returncode == 1
    missed = [
        f"{one} -> {other}" for n, (one, other) in enumerate(WRONG) if f"{one}.wrong{n} -> {other}" not in result.stdout
    ]
    assert missed == []
