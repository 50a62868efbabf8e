"""What the documentation says is so: its commands run, its files work, its names exist, its tables are whole."""

import ast
import re
from pathlib import Path

import pytest

from cloned_schemas.errors import registry
from cloned_schemas.manifest import Contributes, Manifest
from cloned_schemas.tool import Tool
from tests.docs.expectation import Memory, matches
from tests.docs.pages import FENCE, SET_UP, Typed, Written, shell_blocks, steps, titled
from tests.docs.session import DOCS, REPOSITORY, Account
from tools import error_page

PAGES = titled(REPOSITORY)
FOLLOWED = [page.relative_to(DOCS).as_posix() for page in PAGES if steps(page.read_text(encoding="utf-8"))]
TOP = "docs|kernel|plugins|schemas|sdk|tests|tools|trust"
NAMED = re.compile(rf"`((?:{TOP})/[\w./-]*)(?::(\w+))?`")
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(#[^)\s]*)?\)")
ERROR_ID = re.compile(r"`([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FIELD = re.compile(r"^\| (`\w+`(?:, `\w+`)*) \|", re.MULTILINE)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    folder = tmp_path_factory.mktemp("reader")
    return Account(folder / "home", folder / "aside")


@pytest.mark.parametrize("page", FOLLOWED)
def test_a_reader_who_follows_a_page_sees_what_it_shows(account: Account, page: str) -> None:
    if page not in account.kept:
        account.follow(page)
    assert any(isinstance(step, Typed) for step in steps((DOCS / page).read_text(encoding="utf-8")))


def test_commands_that_are_not_run_only_set_up() -> None:
    found = [(page.name, line) for page in PAGES for line in shell_blocks(page.read_text(encoding="utf-8"))]
    assert ("getting-started.md", "make setup") in found
    assert [one for one in found if SET_UP.fullmatch(one[1]) is None] == []


def named(page: Path) -> list[tuple[str, str]]:
    """Files and what is looked for in them, as a page names them."""
    return NAMED.findall(page.read_text(encoding="utf-8"))


def missing(path: str, name: str) -> bool:
    """Whether the repository has no such file, or the file defines no such name."""
    place = REPOSITORY / path
    if not name:
        return not place.exists()
    return not place.is_file() or name not in _defined(place)


def _defined(place: Path) -> set[str]:
    body = ast.parse(place.read_text(encoding="utf-8")).body
    return {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def test_every_file_and_function_that_is_named_exists() -> None:
    found = {(page.name, *one) for page in PAGES for one in named(page)}
    assert ("CONTRIBUTING.md", "kernel/cli/src/cloned_cli/main.py", "main") in found
    assert sorted(one for one in found if missing(*one[1:])) == []


def test_a_name_that_is_gone_is_found_out() -> None:
    assert missing("kernel/cli/src/cloned_cli/main.py", "gone")
    assert missing("kernel/cli/src/cloned_cli/gone.py", "")


def test_every_link_leads_somewhere() -> None:
    broken = []
    for page in PAGES:
        for path, anchor in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor[1:] not in _anchors(target)):
                broken.append(f"{page.relative_to(REPOSITORY)}: {path}{anchor}")
    assert broken == []


def _anchors(page: Path) -> set[str]:
    """As a forge makes them from headings."""
    headings = HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_error_id_that_is_named_is_registered() -> None:
    found = {(page.name, one) for page in PAGES for one in ERROR_ID.findall(page.read_text(encoding="utf-8"))}
    assert ("concepts.md", "WORKSPACE_CHANGED") in found
    assert sorted(one for one in found if one[1] not in registry()) == []


def test_the_page_of_errors_is_as_the_registry_has_them() -> None:
    found = error_page.PART.search(error_page.PAGE.read_text(encoding="utf-8"))
    assert found is not None
    assert found[0] == error_page.rendered(), "run .venv/bin/python tools/error_page.py"


def test_the_page_on_the_manifest_has_every_field() -> None:
    page = (DOCS / "publishers" / "manifest.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", page, flags=re.MULTILINE)
    for title, model in (("Fields", Manifest), ("A tool", Tool), ("What it contributes", Contributes)):
        section = next(one for one in sections if one.startswith(f"{title}\n"))
        told = [name for row in FIELD.findall(section) for name in re.findall(r"`(\w+)`", row)]
        assert sorted(told) == sorted(model.model_fields), title


def test_output_that_differs_is_found_out() -> None:
    shown = "run 01a1fd0d-d7f5-72fd-838e-3301018622b2\n…\nstate  done"
    real = "  run 01a1fd0e-0000-7000-8000-000000000000\n  a\n  b\nstate done\n"
    memory = Memory()
    assert matches(shown, real, memory)
    assert memory.real("cloned runs show 01a1fd0d-d7f5-72fd-838e-3301018622b2").endswith("-000000000000")
    assert not matches(shown, real.replace("done", "failed"), Memory())
    assert not matches(shown, real.replace("01a1fd0e", "01a1fd0f"), memory)
    assert not matches(shown, real + "one more line\n", Memory())


def test_a_page_becomes_commands_and_files_in_order() -> None:
    page = '```yaml title="a.yaml"\nb: 1\n```\n\n```console\n$ cat a.yaml \\\n> --number\nb: 1\n$ true\n```\n'
    assert steps(page) == [
        Written("a.yaml", "b: 1\n", 2),
        Typed("cat a.yaml \\\n--number", "b: 1", 6),
        Typed("true", None, 9),
    ]


def test_a_page_that_does_not_tell_the_truth_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.docs.session.DOCS", tmp_path)
    reader = Account(tmp_path / "home", tmp_path / "aside")
    for text, why in (("$ echo one\ntwo\n", "is not what the page shows"), ("$ false\n", "ended with 1")):
        (tmp_path / "page.md").write_text(f"```console\n{text}```\n")
        with pytest.raises(AssertionError, match=why):
            reader.follow("page.md")
