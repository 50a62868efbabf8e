"""The kernel stays small enough to be read whole, and so does every file and every function."""

import ast
from pathlib import Path

import pytest

from tests.architecture import tree
from tests.architecture.tree import ROOT, Problems, write

KERNEL = "kernel/core/src"
KERNEL_LINES = 4_000
FILE_LINES = 400
FUNCTION_LINES = 30


def _lines(path: Path) -> int:
    return len(path.read_bytes().splitlines())


def kernel_size(root: Path) -> Problems:
    """The kernel's sources have fewer than 4,000 lines in all."""
    sources = tree.sources(root / "kernel" / "core")
    total = sum(_lines(path) for path in sources)
    if not sources:
        return [f"{KERNEL} holds no source; tell this check where the kernel went"]
    if total >= KERNEL_LINES:
        return [f"{KERNEL} has {total} lines, {KERNEL_LINES - 1} at most; ask of the newest: could a plugin do it?"]
    return []


def file_sizes(root: Path) -> Problems:
    """No source has more than 400 lines."""
    sources = tree.sources(root)
    counted = {tree.name(root, path): _lines(path) for path in sources}
    long = [
        f"{path} has {n} lines, {FILE_LINES} at most; look for its second concept"
        for path, n in counted.items()
        if n > FILE_LINES
    ]
    return long if sources else ["no source found; tell this check where they went"]


def function_sizes(root: Path) -> Problems:
    """No function has more than 30 lines, its docstring included, its decorators not."""
    problems = []
    for path in tree.sources(root):
        for node in ast.walk(tree.parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES:
                    where = f"{tree.name(root, path)}:{node.lineno} {node.name}"
                    problems.append(
                        f"{where} has {length} lines, {FUNCTION_LINES} at most; look for its second concept"
                    )
    return problems


def module_names(root: Path) -> Problems:
    """No module has a name that says nothing."""
    empty = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
    return [
        f"{tree.name(root, path)}: name it for the one thing that it owns"
        for path in tree.sources(root)
        if {path.stem, path.parent.name} & empty
    ]


def test_the_kernel_is_small() -> None:
    assert kernel_size(ROOT) == []


def test_no_file_is_long() -> None:
    assert file_sizes(ROOT) == []


def test_no_function_is_long() -> None:
    assert function_sizes(ROOT) == []


def test_modules_are_named_for_what_they_own() -> None:
    assert module_names(ROOT) == []


@pytest.mark.parametrize(("lines", "problems"), [(3_999, 0), (4_000, 1)])
def test_a_kernel_of_4000_lines_is_too_large(tmp_path: Path, lines: int, problems: int) -> None:
    write(tmp_path, "kernel/core/src/cloned/one.py", "x\n" * 1_000)
    write(tmp_path, "kernel/core/src/cloned/two.py", "x\n" * (lines - 1_000))
    assert len(kernel_size(tmp_path)) == problems


@pytest.mark.parametrize(("lines", "problems"), [(400, 0), (401, 1)])
def test_a_file_of_401_lines_is_too_long(tmp_path: Path, lines: int, problems: int) -> None:
    write(tmp_path, "plugins/x/src/x/a.py", "x\n" * lines)
    assert len(file_sizes(tmp_path)) == problems


@pytest.mark.parametrize(("lines", "problems"), [(30, 0), (31, 1)])
def test_a_function_of_31_lines_is_too_long(tmp_path: Path, lines: int, problems: int) -> None:
    write(tmp_path, "trust/src/cloned_trust/a.py", "class A:\n    def f(self):\n" + "        x\n" * (lines - 1))
    assert len(function_sizes(tmp_path)) == problems


def test_a_tree_without_sources_is_a_problem_too(tmp_path: Path) -> None:
    assert kernel_size(tmp_path)
    assert file_sizes(tmp_path)


def test_a_module_named_utils_is_found(tmp_path: Path) -> None:
    write(tmp_path, "kernel/core/src/cloned/utils.py", "")
    write(tmp_path, "kernel/core/src/cloned/helpers/words.py", "")
    assert len(module_names(tmp_path)) == 2
