"""Which of a plugin's files become importable."""

import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

from cloned_sdk.plugin_finder import PluginFinder


def run(tree: Path, code: str, toplevel: str = "acme_weather") -> str:
    opening = (
        "import sys\nfrom cloned_sdk.plugin_finder import PluginFinder\n"
        f"sys.meta_path.insert(0, PluginFinder({str(tree)!r}, {toplevel!r}))\n"
    )
    ran = subprocess.run([sys.executable, "-c", opening + code], capture_output=True, text=True, check=False)
    return ran.stdout.strip() or ran.stderr.strip().splitlines()[-1]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    package = tmp_path / "tree" / "acme_weather"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner" / "__init__.py").write_text("")
    (package / "inner" / "deep.py").write_text("truth = 'source'\n")
    (package / "inner" / "data.txt").write_text("a resource")
    return tmp_path / "tree"


def test_the_declared_package_is_found_with_everything_below(tree: Path) -> None:
    assert run(tree, "from acme_weather.inner.deep import truth; print(truth)") == "source"


def test_its_resources_can_be_read(tree: Path) -> None:
    code = "import importlib.resources as r; print((r.files('acme_weather.inner') / 'data.txt').read_text())"
    assert run(tree, code) == "a resource"


def test_planted_bytecode_is_never_read(tree: Path, tmp_path: Path) -> None:
    lie = tmp_path / "lie.py"
    lie.write_text("truth = 'bytecode'\n")
    inner = tree / "acme_weather" / "inner"
    tag = sys.implementation.cache_tag
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(lie), str(inner / "__pycache__" / f"deep.{tag}.pyc"), invalidation_mode=unchecked)
    py_compile.compile(str(lie), str(inner / "planted.pyc"), invalidation_mode=unchecked)
    assert run(tree, "from acme_weather.inner.deep import truth; print(truth)") == "source"
    assert "no module 'acme_weather.inner.planted'" in run(tree, "import acme_weather.inner.planted")


def test_native_code_namespaces_and_other_toplevels_are_not_found(tree: Path) -> None:
    (tree / "acme_weather" / "fast.abi3.so").write_bytes(b"\x7fELF")
    (tree / "acme_weather" / "empty").mkdir()
    (tree / "acme_evil").mkdir()
    (tree / "acme_evil" / "__init__.py").write_text("")
    (tree / "evil.py").write_text("")
    for name in ("acme_weather.fast", "acme_weather.empty", "acme_evil", "evil"):
        assert "ModuleNotFoundError" in run(tree, f"import {name}")


@pytest.mark.parametrize("taken", ["json", "cloned_sdk", "msgspec", "pytest", "__main__", "no-name", "a.b"])
def test_a_plugin_cannot_take_anothers_name(tree: Path, taken: str) -> None:
    with pytest.raises(ImportError, match="cannot own"):
        PluginFinder(str(tree), taken)
