"""Nothing in the repository names the machine that it was written on, or where its packages were fetched."""

import re
from pathlib import Path

import pytest

from tests.architecture import tree
from tests.architecture.tree import ROOT, Problems, write

# Written in pieces, so that this file does not find itself.
_FORBIDDEN = re.compile(
    "|".join(
        [
            "/wo" + "rk/(main|shared|[.])",
            "/tmp/" + "plan",
            r"[.]" + "library/",
            "/ro" + r"ot/[.](pyenv|cache|config|local)",
            "pypi[.]" + "org",
            "python" + "hosted",
            "registry[.]" + "npmjs",
        ]
    )
)
_LOCKS = {"uv.lock"}
"""A lock names where its packages come from; the public index is all that it may name."""

_INDEX = re.compile("https?://(?!pypi[.]" + "org/|files[.]python" + 'hosted[.]org/)[^"/ ]+')


def workplaces(root: Path) -> Problems:
    """Every line that names a workplace or a registry's host."""
    problems, seen = [], 0
    for path in tree.files(root):
        pattern = _INDEX if path.name in _LOCKS else _FORBIDDEN
        text = path.read_bytes().decode("utf-8", "replace")
        seen += 1
        for number, line in enumerate(text.splitlines(), 1):
            found = pattern.search(line)
            if found:
                problems.append(f"{tree.name(root, path)}:{number} names {found[0]}; say it without the place")
    return problems if seen else ["the tree is empty; tell this check where the repository is"]


def test_no_file_names_a_workplace() -> None:
    assert workplaces(ROOT) == []


@pytest.mark.parametrize(
    "text", ["/wo" + "rk/main/x", "see /tmp/" + "plan", "/ro" + "ot/.config", "https://pypi." + "org/simple"]
)
def test_a_workplace_is_found(tmp_path: Path, text: str) -> None:
    write(tmp_path, "docs/a.md", f"first\n{text}\n")
    assert len(workplaces(tmp_path)) == 1


def test_a_lock_may_name_the_public_index_and_no_other(tmp_path: Path) -> None:
    write(tmp_path, "uv.lock", 'source = { registry = "https://pypi.' + 'org/simple" }\n')
    assert workplaces(tmp_path) == []
    write(tmp_path, "uv.lock", 'source = { registry = "http://mirror.internal/simple" }\n')
    assert len(workplaces(tmp_path)) == 1


def test_plain_text_is_fine_and_an_empty_tree_is_not(tmp_path: Path) -> None:
    assert workplaces(tmp_path)
    write(tmp_path, "docs/a.md", "the work of the root user in /tmp\n")
    assert workplaces(tmp_path) == []
