"""Broad excepts stand at the two walls alone, where foreign code is loaded and called."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.architecture import tree
from tests.architecture.tree import ROOT, Problems, write

WALLS: Mapping[str, str] = {
    "kernel/core/src/cloned/host/plugins.py": "the loader: an entry module may raise anything when it is imported",
    "kernel/core/src/cloned/monitor/dispatch.py": "the dispatch: an in-process tool may raise anything",
    "sdk/runtime/src/cloned_sdk/serve.py": "the dispatch, in the worker's process: a handler may raise anything",
}
_BROAD = {"Exception", "BaseException"}


def broad_excepts(root: Path, walls: Mapping[str, str] = WALLS) -> Problems:
    """Every broad except outside the walls, and every wall that has none any more."""
    problems, standing = [], set()
    for path in tree.sources(root):
        place = tree.name(root, path)
        for line in _broad(tree.parsed(path)):
            standing.add(place)
            if place not in walls:
                problems.append(f"{place}:{line} catches everything; name what can be raised, or let it go on")
    gone = set(walls) - standing
    return problems + [f"{place} has no broad except; take it off the list of walls" for place in sorted(gone)]


def _broad(module: ast.Module) -> Iterator[int]:
    for node in ast.walk(module):
        caught = isinstance(node, ast.ExceptHandler) and _catches_all(node) and not _goes_on(node)
        if isinstance(node, ast.ExceptHandler | ast.Call) and (caught or _suppresses_all(node)):
            yield node.lineno


def _catches_all(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or tree.dotted(kind) in _BROAD for kind in kinds)


def _suppresses_all(node: ast.AST) -> bool:
    """`suppress(Exception)` is the same in other words."""
    if not isinstance(node, ast.Call) or tree.dotted(node.func).split(".")[-1] != "suppress":
        return False
    return bool(_BROAD & {tree.dotted(argument) for argument in node.args})


def _goes_on(handler: ast.ExceptHandler) -> bool:
    """It tidies up and raises the same again."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_nothing_is_swallowed_outside_the_walls() -> None:
    assert broad_excepts(ROOT) == []


@pytest.mark.parametrize(
    "handler",
    [
        "except Exception:\n    pass",
        "except:\n    pass",
        "except BaseException as error:\n    print(error)",
        "except (ValueError, Exception):\n    pass",
        "except ValueError:\n    pass\nwith suppress(Exception):\n    pass",
    ],
)
def test_a_broad_except_is_found(tmp_path: Path, handler: str) -> None:
    write(tmp_path, "trust/src/cloned_trust/a.py", f"try:\n    x\n{handler}\n")
    assert len(broad_excepts(tmp_path, {})) == 1


@pytest.mark.parametrize(
    "handler",
    ["except ValueError:\n    pass", "except (OSError, KeyError):\n    pass", "except BaseException:\n    raise"],
)
def test_a_narrow_except_and_one_that_raises_again_are_fine(tmp_path: Path, handler: str) -> None:
    write(tmp_path, "trust/src/cloned_trust/a.py", f"try:\n    x\n{handler}\n")
    assert broad_excepts(tmp_path, {}) == []


def test_a_wall_may_catch_everything_and_must(tmp_path: Path) -> None:
    place = write(tmp_path, "kernel/core/src/cloned/wall.py", "try:\n    x\nexcept Exception:\n    pass\n")
    walls = {"kernel/core/src/cloned/wall.py": "it is one"}
    assert broad_excepts(tmp_path, walls) == []
    place.write_text("")
    assert len(broad_excepts(tmp_path, walls)) == 1
