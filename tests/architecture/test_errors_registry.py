"""errors.json and the code agree: every id that is raised is registered, every registered id is used."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.architecture import tree
from tests.architecture.tree import ROOT, Problems, write

REGISTRY = "schemas/src/cloned_schemas/errors.json"
_RAISING = {
    *("Finding", "Refusal", "Refused", "Mistake", "raise_for", "error_for", "spec"),
    *("UserMistake", "ApprovalRequired", "PolicyDenied", "TrustRefused", "Unavailable", "PluginFault"),
}
_ID = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")


def registry(root: Path) -> Problems:
    """The file is sorted, has each id once, and each id a known family, a title and a repair."""
    table = json.loads((root / REGISTRY).read_bytes())
    ids = [row["id"] for row in table["errors"]]
    problems = [f"{REGISTRY}: {one} stands twice" for one in {one for one in ids if ids.count(one) > 1}]
    if ids != sorted(ids):
        first = next(one for one, right in zip(ids, sorted(ids), strict=True) if one != right)
        problems.append(f"{REGISTRY}: {first} is out of order; sort by id")
    for row in table["errors"]:
        if not _ID.fullmatch(row["id"]) or row["family"] not in table["families"]:
            problems.append(f"{REGISTRY}: {row['id']} needs an upper-case id and one of the families")
        problems += [f"{REGISTRY}: {row['id']} has no {field}" for field in ("title", "repair") if not row.get(field)]
    return problems


def unregistered(root: Path) -> Problems:
    """Ids that code raises and errors.json does not know."""
    known = _known(root)
    found = [(path, line, one) for path in tree.sources(root) for line, one in _raised(tree.parsed(path))]
    if not found:
        return ["no source raises an error id; tell this check how they are raised now"]
    return [
        f"{tree.name(root, path)}:{line} raises {one}; add it to {REGISTRY}"
        for path, line, one in found
        if one not in known
    ]


def unused(root: Path) -> Problems:
    """Ids that no source mentions."""
    mentioned = {one for path in tree.sources(root) for one in _texts(tree.parsed(path))}
    return [f"{REGISTRY}: nothing raises {one}; take it out, or raise it" for one in sorted(_known(root) - mentioned)]


def _known(root: Path) -> set[str]:
    return {row["id"] for row in json.loads((root / REGISTRY).read_bytes())["errors"]}


def _raised(module: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module):
        if not isinstance(node, ast.Call):
            continue
        named = [word.value for word in node.keywords if word.arg == "error_id"]
        first = node.args[:1] if tree.dotted(node.func).split(".")[-1] in _RAISING else []
        for value in [*first, *named]:
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and _ID.fullmatch(value.value):
                yield node.lineno, value.value


def _texts(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def made_up(root: Path, rows: list[dict[str, Any]], source: str = "") -> Path:
    """A tree with a registry and one source."""
    write(root, REGISTRY, json.dumps({"families": {"unavailable": {}}, "errors": rows}))
    write(root, "kernel/core/src/cloned/a.py", source)
    return root


def row(error_id: str, **more: str) -> dict[str, Any]:
    return {"id": error_id, "family": "unavailable", "title": "t", "repair": "r", **more}


def test_the_registry_is_sorted_and_complete() -> None:
    assert registry(ROOT) == []


def test_every_raised_id_is_registered() -> None:
    assert unregistered(ROOT) == []


def test_every_registered_id_is_used() -> None:
    assert unused(ROOT) == []


def test_a_registry_in_order_is_fine(tmp_path: Path) -> None:
    assert registry(made_up(tmp_path, [row("A_B"), row("B_A")])) == []


@pytest.mark.parametrize(
    "rows",
    [
        [row("B_A"), row("A_B")],
        [row("A_B"), row("A_B")],
        [row("a_b")],
        [row("A_B", family="weather")],
        [row("A_B", repair="")],
    ],
)
def test_a_registry_that_is_not_is_found(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    assert len(registry(made_up(tmp_path, rows))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "raise Unavailable('A_C', 'x')",
        "f(error_id='A_C')",
        "raise errors.TrustRefused('A_C', 'y')",
        "Finding('A_C', '', '')",
    ],
)
def test_an_unregistered_id_is_found(tmp_path: Path, source: str) -> None:
    assert len(unregistered(made_up(tmp_path, [row("A_B")], source))) == 1
    assert unregistered(made_up(tmp_path, [row("A_C")], source)) == []


def test_an_id_that_nothing_raises_is_found(tmp_path: Path) -> None:
    source = "KIND = {'x': 'A_B'}\nraise Unavailable(KIND['x'], 'y')"
    assert unused(made_up(tmp_path, [row("A_B")], source)) == []
    assert len(unused(made_up(tmp_path, [row("A_B"), row("A_C")], source))) == 1
