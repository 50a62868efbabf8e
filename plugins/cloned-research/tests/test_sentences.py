"""Sentences: where they begin and end, that they are the source's own, and what is nobody's sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloned_research.sentences import LONGEST, sentences

PIECES = st.sampled_from(
    [
        "A turtle is a slow reptile",
        "that lives in water.",
        "It eats, e.g. lettuce; and sleeps",
        "a lot!",
        "- An item is",
        "> quoted",
        "\n",
        " ",
        "  ",
        "\n\n",
        "**bold**",
        "`code. Here`",
        "1. ",
        "| a | b |",
        "|---|",
        "Dr. Who?",
        "我们。",
        "x" * 300,
        "; ",
    ]
)


def quotes(text: str, kind: str = "prose") -> list[str]:
    return [sentence.quote for sentence in sentences(text, kind)]


def test_a_sentence_runs_over_lines_and_is_placed_at_its_first() -> None:
    found = sentences("A turtle is slow. It lives\nfor a very long time. The next one\nis short of words.", "prose")
    assert [(one.line, one.quote) for one in found] == [
        (0, "It lives for a very long time."), (1, "The next one is short of words."),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "A turtle eats greens, e.g. Lettuce and kale.", "Dr. Miller and Mr. Smith keep two turtles.",
        "Version 3.11 is what a turtle needs here.", "Run `turtle start. Now` and wait for it.",
        "The U.S. Government counts turtles each year.", "See J. R. Miller on the keeping of turtles.",
        "The file turtle.md says what turtles eat.",
    ],
)  # fmt: skip
def test_a_dot_within_a_sentence_does_not_end_it(text: str) -> None:
    assert quotes(text) == [text]


def test_list_items_are_apart_and_lose_their_marks() -> None:
    text = "- Turtles eat greens every day.\n- Lizards eat insects\n  all day long.\n1. Cats eat what they are given."
    assert [(one.line, one.shown) for one in sentences(text, "list")] == [
        (0, "Turtles eat greens every day."), (1, "Lizards eat insects all day long."),
        (3, "Cats eat what they are given."),
    ]  # fmt: skip


def test_a_row_of_a_table_reads_as_text_and_its_head_is_left_out() -> None:
    text = "| animal | eats | how long |\n|---|---|---|\n| the turtle | fresh greens | all day |"
    (row,) = sentences(text, "table")
    assert (row.line, row.shown) == (2, "the turtle · fresh greens · all day")
    assert row.quote == "| the turtle | fresh greens | all day |"


def test_code_and_fragments_are_no_sentences() -> None:
    assert quotes("x = turtle.slow(); y = turtle.fast(z)", "code") == []
    assert quotes("```\nThis is in a fence and looks like text.\n```") == []
    assert quotes("Too short. `only one long piece of code that says much` x.") == []
    assert quotes("# A heading with very many words in it") == []


def test_a_long_sentence_is_quoted_by_its_clauses() -> None:
    clause = "the turtle " + "walks and walks " * 8 + "on"
    found = sentences(f"First (a; b; c) {clause}; then {clause}; last {clause}.", "prose")
    assert len(found) > 1
    assert all(len(one.quote) <= LONGEST for one in found)
    assert [one.cut_before for one in found] == [False, *[True] * (len(found) - 1)]
    assert [one.cut_after for one in found] == [*[True] * (len(found) - 1), False]
    assert " ".join(one.quote for one in found) == f"First (a; b; c) {clause}; then {clause}; last {clause}."


def test_text_without_spaces_ends_at_its_own_full_stop() -> None:
    assert quotes("我们使用分布式数据库。它保存所有的记录。") == ["我们使用分布式数据库。", "它保存所有的记录。"]


@given(st.lists(PIECES, max_size=30), st.sampled_from(["prose", "list", "table"]))
def test_every_quote_stands_at_its_line(pieces: list[str], kind: str) -> None:
    text = "".join(pieces)
    lines = text.split("\n")
    for one in sentences(text, kind):
        rest = " ".join("\n".join(lines[one.line :]).split())
        assert one.quote in rest
        first = one.quote.split()[0]
        assert first in lines[one.line]
