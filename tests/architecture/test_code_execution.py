"""Code comes to run by an import statement or by the loader, and in no other way."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.architecture import tree
from tests.architecture.tree import ROOT, Problems, write

# File → the calls that it may make. Each of these files says in its docstring what it lets run.
LISTED: Mapping[str, frozenset[str]] = {
    "kernel/core/src/cloned/host/finder.py": frozenset({"source_to_code"}),  # a source, after its digest was compared
    "kernel/core/src/cloned/host/plugins.py": frozenset({"import_module"}),  # the loader: a verified plugin's entry
    "kernel/operations/src/cloned_operations/table.py": frozenset({"import_module"}),  # our own handlers, when asked
    "sdk/runtime/src/cloned_sdk/__init__.py": frozenset({"import_module"}),  # our own names, on first use
    "sdk/runtime/src/cloned_sdk/plugin_finder.py": frozenset({"source_to_code"}),  # the plugin's, in the sandbox
    "sdk/runtime/src/cloned_sdk/bootstrap.py": frozenset({"import_module"}),  # the worker's entry, in the sandbox
}
_BY_NAME = {"exec", "eval", "compile", "__import__", "import_module", "run_module", "run_path", "resolve_name"}
_BY_ATTRIBUTE = {
    "import_module",
    "exec_module",
    "load_module",
    "source_to_code",
    "run_module",
    "run_path",
    "resolve_name",
}
_MODULES = {"pickle", "marshal", "shelve", "runpy", "code", "imp", "dill", "cloudpickle"}


def execution(root: Path, listed: Mapping[str, frozenset[str]] = LISTED) -> Problems:
    """Every way to run data as code outside the listed files, and every listed file that does not need to be."""
    problems, used = [], set()
    for path in tree.sources(root):
        place = tree.name(root, path)
        for line, call in _calls(tree.parsed(path)):
            used.add((place, call))
            if call not in listed.get(place, ()):
                problems.append(f"{place}:{line} runs code by {call}; import it plainly, or have the loader do it")
    idle = {(place, call) for place, calls in listed.items() for call in calls} - used
    return problems + [f"{place} has no {call} any more; take it off the list" for place, call in sorted(idle)]


def _calls(module: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            whole = tree.dotted(node.func)
            last = node.func.attr if isinstance(node.func, ast.Attribute) else whole
            if (isinstance(node.func, ast.Name) and whole in _BY_NAME) or (whole != last and last in _BY_ATTRIBUTE):
                yield node.lineno, last
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name in _MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in _MODULES:
            yield node.lineno, node.module


def test_code_is_executed_by_the_loader_alone() -> None:
    assert execution(ROOT) == []


@pytest.mark.parametrize(
    "line",
    [
        "exec(text)",
        "eval('1')",
        "compile(text, 'x', 'exec')",
        "__import__('os')",
        "importlib.import_module(name)",
        "import_module(name)",
        "spec.loader.exec_module(module)",
        "loader.source_to_code(data, path)",
        "runpy.run_path(path)",
        "pkgutil.resolve_name(name)",
        "import pickle",
        "from marshal import loads",
    ],
)
def test_a_way_to_run_data_as_code_is_found(tmp_path: Path, line: str) -> None:
    write(tmp_path, "kernel/core/src/cloned/a.py", f"{line}\n")
    assert len(execution(tmp_path, {})) == 1


@pytest.mark.parametrize("line", ["re.compile('x')", "import json", "text.format(1)", "cursor.execute(sql)"])
def test_what_only_looks_alike_is_fine(tmp_path: Path, line: str) -> None:
    write(tmp_path, "kernel/core/src/cloned/a.py", f"{line}\n")
    assert execution(tmp_path, {}) == []


def test_a_listed_file_may_do_what_is_listed_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, "kernel/core/src/cloned/a.py", "compile(text, 'x', 'exec')\n")
    assert execution(tmp_path, {"kernel/core/src/cloned/a.py": frozenset({"compile"})}) == []
    assert len(execution(tmp_path, {"kernel/core/src/cloned/a.py": frozenset({"exec"})})) == 2
