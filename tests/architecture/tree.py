"""The repository as the checks see it: which files are ours. Reads files; every check takes the root, so that each can
be shown a tree in which something is wrong.

A check is a function from a root to problems; no problem means that the rule holds. A check that finds nothing to look
at says so as a problem: a rule that no longer meets its subject protects nobody.
"""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

Problems = list[str]

_NOT_OURS = {
    ".git",
    ".venv",
    ".tox",
    ".demo",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    "__pycache__",
}
_NOT_OURS |= {".import_linter_cache", "dist", "node_modules"}


def files(root: Path) -> Iterator[Path]:
    """Every file of the repository, sorted, without what tools and builds leave behind."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _NOT_OURS)
        yield from (Path(folder) / name for name in sorted(names))


def sources(root: Path) -> list[Path]:
    """The Python sources that are shipped: everything below a `src` folder that is not itself below `tests`."""
    python = [path for path in files(root) if path.suffix == ".py"]
    return [path for path in python if "src" in (parts := path.relative_to(root).parts) and "tests" not in parts]


def name(root: Path, path: Path) -> str:
    """A file as a message names it."""
    return path.relative_to(root).as_posix()


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a source."""
    return ast.parse(path.read_bytes(), filename=str(path))


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a name or an attribute of names; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def write(root: Path, path: str, text: str) -> Path:
    """Put a file into a made-up tree."""
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place
