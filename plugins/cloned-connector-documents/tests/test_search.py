"""Searching: what is found, in which order, and that nothing a person types is syntax."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from cloned_connector_documents import worker
from cloned_sdk import Call, ToolError

Ask = Callable[..., Any]

GUIDE = """# Guide

A workspace holds configuration.

## Approvals

Every publishing call waits
until a person approves it.

- asks before export
- asks before spending
"""


def test_a_passage_says_where_it_stands(docs: Path, search: Ask) -> None:
    (docs / "guide.md").write_text(GUIDE)
    passage = search("who approves publishing?").passages[0]
    assert (passage.source, passage.folder, passage.path) == ("documents:documents", "documents", "guide.md")
    assert (passage.line_start, passage.line_end, passage.kind) == (7, 8, "prose")
    assert passage.heading == "Guide > Approvals"
    assert passage.text == "Every publishing call waits\nuntil a person approves it."
    assert passage.content_hash == sha256(passage.text.encode()).hexdigest()
    assert isinstance(passage.score, int)
    assert passage.score > 0
    assert passage.retrieved_at.endswith("Z")


def test_words_are_found_by_their_stems(docs: Path, search: Ask) -> None:
    (docs / "a.txt").write_text("The approving committee meets on Mondays.\n")
    assert [passage.path for passage in search("approval").passages] == ["a.txt"]


def test_the_section_named_like_the_question_comes_first(docs: Path, search: Ask) -> None:
    (docs / "a.md").write_text("# Other\n\nbudgets budgets and again budgets in passing, among many other words\n")
    (docs / "b.md").write_text("# Notes\n\n## Budgets\n\nA cap holds for a month.\n")
    (docs / "c.md").write_text("# Elsewhere\n\nNothing of the kind stands here, only words.\n")
    assert search("how do budgets work").passages[0].path == "b.md"


def test_equal_passages_come_in_the_order_of_their_paths(docs: Path, search: Ask) -> None:
    for name in ("c.txt", "a.txt", "b.txt"):
        (docs / name).write_text("The same sentence about turtles.\n")
    assert [passage.path for passage in search("turtles").passages] == ["a.txt", "b.txt", "c.txt"]
    assert search("turtles", limit=2).passages == search("turtles").passages[:2]


def test_only_the_kinds_asked_for_are_found(docs: Path, search: Ask) -> None:
    (docs / "a.md").write_text("Turtles are slow.\n\n```\nturtles = 1\n```\n\n| turtles |\n|---|\n\n- turtles\n")
    assert {passage.kind for passage in search("turtles").passages} == {"prose", "code", "table", "list"}
    assert [passage.kind for passage in search("turtles", kinds=["code"]).passages] == ["code"]


def test_a_changed_file_is_found_by_its_new_words_alone(docs: Path, search: Ask) -> None:
    place = docs / "a.md"
    place.write_text("About turtles.\n")
    assert search("turtles").passages
    place.write_text("About lizards instead.\n")
    assert not search("turtles").passages
    assert search("lizards").passages
    place.unlink()
    answer = search("lizards")
    assert (answer.passages, answer.documents) == ([], 0)


def test_ranking_does_not_depend_on_what_was_there_before(docs: Path, search: Ask) -> None:
    (docs / "a.md").write_text("# One\n\nTurtles are slow reptiles.\n")
    (docs / "b.md").write_text("# Two\n\nTurtles swim; reptiles mostly do not.\n")
    before = [(one.path, one.score) for one in search("slow turtles").passages]
    extra = docs / "c.md"
    extra.write_text("# Three\n\nturtles turtles turtles slow slow\n")
    assert len(search("slow turtles").passages) == 3
    extra.unlink()
    assert [(one.path, one.score) for one in search("slow turtles").passages] == before


@pytest.mark.parametrize(
    "query",
    ['turtles" OR "x', "turtles NEAR(", "text:turtles", "turtles*", "^turtles", "-turtles", "turtles AND", "{turtles}",
     "turtles'; DROP TABLE files; --", "turtles\0", "(((turtles", "turtles " * 200],
)  # fmt: skip
def test_no_query_is_syntax(docs: Path, search: Ask, query: str) -> None:
    (docs / "a.txt").write_text("Nothing but turtles here.\n")
    assert [passage.path for passage in search(query).passages] == ["a.txt"]


@pytest.mark.parametrize("query", ["___", "\0", "!?", "🐢", "*"])
def test_a_query_without_words_finds_nothing(docs: Path, search: Ask, query: str) -> None:
    (docs / "a.txt").write_text("Nothing but turtles here.\n")
    assert search(query).passages == []


def test_words_that_every_text_has_are_not_looked_for(docs: Path, search: Ask) -> None:
    (docs / "a.txt").write_text("What is it that you do with the one that was there?\n")
    answer = search("what is the speed of light")
    assert answer.terms == ["speed", "light"]
    assert answer.passages == []
    assert search("to be or not to be").terms == ["to", "be", "or", "not"]


def test_text_without_spaces_is_found_by_a_word_in_it(docs: Path, search: Ask) -> None:
    (docs / "a.txt").write_text("我们使用分布式数据库来保存记录。\n", encoding="utf-8")
    assert [passage.path for passage in search("数据库").passages] == ["a.txt"]
    assert search("电话").passages == []
    assert search("库数据").passages == []


def test_without_a_folder_the_answer_says_how_to_grant_one() -> None:
    lonely = Call(tool_id="-", call_id="c", settings={}, granted={}, send=lambda _: None, token=None)
    with pytest.raises(ToolError, match="cloned plugin grant") as refused:
        worker.search(worker.SearchInputs("x"), lonely)
    assert refused.value.code == "NO_FOLDER"


def test_an_unknown_folder_is_named_with_those_there_are(search: Ask) -> None:
    with pytest.raises(ToolError, match="there is documents") as refused:
        search("x", folder="secrets")
    assert refused.value.code == "FOLDER_UNKNOWN"


def test_a_cancelled_call_stops_between_documents(docs: Path, call: Call) -> None:
    (docs / "a.txt").write_text("words\n")
    call.cancelled = True
    with pytest.raises(ToolError) as stopped:
        worker.search(worker.SearchInputs("words"), call)
    assert stopped.value.code == "CANCELLED"
    call.cancelled = False
    assert worker.search(worker.SearchInputs("words"), call).passages
