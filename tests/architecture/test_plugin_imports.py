"""No plugin opens a connection or starts a program by itself: the host does both, where policy says so."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.architecture import tree
from tests.architecture.tree import ROOT, Problems, write

LISTED: Mapping[str, str] = {}
"""File → why it may; empty as long as no plugin needs it."""

_REACHING_OUT = {
    *("socket", "socketserver", "ssl", "http", "urllib.request", "ftplib", "smtplib", "imaplib", "poplib", "xmlrpc"),
    *("httpx", "requests", "aiohttp", "urllib3", "websockets", "grpc", "subprocess", "pty", "multiprocessing"),
}


def reaching_out(root: Path, listed: Mapping[str, str] = LISTED) -> Problems:
    """Every import in a plugin that could reach the network or another program."""
    sources = tree.sources(root / "plugins")
    if not sources:
        return ["plugins/ holds no source; tell this check where they went"]
    problems, used = [], set()
    for path in sources:
        place = tree.name(root, path)
        for line, module in _imports(tree.parsed(path)):
            used.add(place)
            if place not in listed:
                problems.append(f"{place}:{line} imports {module}; ask the host for what you need, or list why not")
    return problems + [f"{place} imports nothing of the kind; take it off the list" for place in set(listed) - used]


def _imports(module: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        origin = f"{node.module or ''}." if isinstance(node, ast.ImportFrom) else ""
        for imported in (f"{origin}{alias.name}" for alias in node.names):
            if any(imported == one or imported.startswith(f"{one}.") for one in _REACHING_OUT):
                yield node.lineno, imported


def test_plugins_reach_out_through_the_host_alone() -> None:
    assert reaching_out(ROOT) == []


@pytest.mark.parametrize(
    "line", ["import socket", "from urllib.request import urlopen", "import http.client", "from http import client"]
)
def test_an_import_that_reaches_out_is_found(tmp_path: Path, line: str) -> None:
    place = write(tmp_path, "plugins/acme-x/src/acme_x/a.py", f"{line}\n")
    assert len(reaching_out(tmp_path, {})) == 1
    assert reaching_out(tmp_path, {"plugins/acme-x/src/acme_x/a.py": "it must"}) == []
    place.write_text("from urllib.parse import quote\n")
    assert reaching_out(tmp_path, {}) == []
    assert len(reaching_out(tmp_path, {"plugins/acme-x/src/acme_x/a.py": "it must"})) == 1
