"""Markdown and plain text: what a block is, and that its lines are the file's lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloned_connector_documents.blocks import MAX_PASSAGE, Block, cut
from cloned_connector_documents.markdown import markdown_blocks, text_blocks, visible

PIECES = st.sampled_from(
    [
        "# Title",
        "## Part",
        "Title\n===",
        "Part\n---",
        "- item",
        "  - inner",
        "1. first",
        "text of a line",
        "more. And",
        "",
        "```",
        "~~~",
        "    indented",
        "> quoted",
        "| a | b |",
        "|---|---|",
        "---",
        "***",
        "<!-- hidden",
        "-->",
        "`code`",
        "<div hidden>",
        "</div>",
        "<b>bold</b>",
        "[x]: https://e.example",
        "<name>",
        "\t- tab",
        "#no heading",
        "\ufeff",
    ]
)


def kinds(text: str) -> list[tuple[str, str, int, str]]:
    return [(block.kind, block.heading, block.line, block.text) for block in markdown_blocks(visible(text))]


def test_headings_make_a_path() -> None:
    text = "# A\n\none\n\n## B ##\n\ntwo\n\n# C\n\nthree\n"
    assert [(heading, line) for _, heading, line, _ in kinds(text)] == [("A", 3), ("A > B", 7), ("C", 11)]


def test_underlined_headings_count_too() -> None:
    text = "Title\n=====\n\none\n\nPart\n----\ntwo\n"
    assert kinds(text) == [("prose", "Title", 4, "one"), ("prose", "Title > Part", 8, "two")]


def test_a_list_a_table_and_code_are_blocks_of_their_own() -> None:
    text = "Text:\n- one\n  more\n- two\n\n| a |\n|---|\n\n```sh\nls\n\nls\n```\nafter\n"
    assert [(kind, line) for kind, _, line, _ in kinds(text)] == [
        ("prose", 1), ("list", 2), ("table", 6), ("code", 9), ("prose", 14),
    ]  # fmt: skip


def test_a_heading_within_code_is_none() -> None:
    text = "```\n# not a heading\n```\n\ntext\n"
    assert kinds(text)[-1] == ("prose", "", 5, "text")


def test_what_a_rendered_page_hides_is_left_out_and_lines_stay() -> None:
    text = (
        "<!-- ignore\nall -->\nseen\n\n<div hidden>\n\nsecret one\n\n</div>\n\n<span style='display: none'>two</span>x"
        "\n\n[//]: # (secret three)\n\n<script>\nfour()\n</script>\n\nlast `<div hidden>` stays, <name> too\n"
    )
    assert [(line, told) for _, _, line, told in kinds(text)] == [
        (3, "seen"), (11, "x"), (19, "last `<div hidden>` stays, <name> too"),
    ]  # fmt: skip


def test_front_matter_is_no_text() -> None:
    assert kinds("---\ntitle: secret\n---\n\nseen\n") == [("prose", "", 5, "seen")]


def test_plain_text_knows_no_markup() -> None:
    blocks = text_blocks("Heading\n=======\n\n# a comment\n\nlast\n")
    assert [(block.heading, block.line, block.text) for block in blocks] == [
        ("Heading", 4, "# a comment"), ("Heading", 6, "last"),
    ]  # fmt: skip


@given(st.lists(PIECES, max_size=40))
def test_every_line_of_a_block_is_that_line_of_the_document(pieces: list[str]) -> None:
    shown = visible("\n".join(pieces))
    assert shown.count("\n") == "\n".join(pieces).count("\n")
    lines = shown.split("\n")
    for block in [*markdown_blocks(shown), *text_blocks(shown)]:
        assert block.text.split("\n") == [
            line.rstrip() for line in lines[block.line - 1 : block.line + block.text.count("\n")]
        ]


@given(st.text(alphabet="ab .\n-", max_size=4 * MAX_PASSAGE), st.sampled_from(["prose", "list"]))
def test_a_long_block_is_cut_without_losing_words_or_lines(text: str, kind: str) -> None:
    block = Block(kind, "", 7, text)  # type: ignore[arg-type]  # one of the kinds
    lines = text.split("\n")
    pieces = list(cut(block))
    for piece in pieces:
        assert len(piece.text) <= MAX_PASSAGE
        for number, row in enumerate(piece.text.split("\n"), piece.line - 7):
            assert row in lines[number]
    assert "".join("".join(piece.text.split()) for piece in pieces) == "".join(text.split())


def test_a_long_line_is_cut_between_sentences_and_keeps_its_number() -> None:
    line = "A sentence of the long line. " * 100
    pieces = list(cut(Block("prose", "", 7, f"first\n{line}\nlast")))
    assert [piece.line for piece in pieces] == [7, *[8] * (len(pieces) - 1)]
    assert all(piece.text.endswith(".") for piece in pieces[1:-1])
    assert pieces[-1].text.endswith("\nlast")


def test_a_list_is_cut_between_its_items() -> None:
    text = "\n".join(f"- item {number} " + "word " * 30 for number in range(20))
    assert all(piece.text.startswith("- item") for piece in cut(Block("list", "", 1, text)))


@pytest.mark.parametrize("piece", ["` `` ``` ", "`", "<a ", "<!--", "\n~~~", "```\n", "[a", "<div hidden>"])
def test_a_flood_of_marks_is_read_line_by_line(piece: str) -> None:
    text = piece * 100_000
    shown = visible(text)
    assert shown.count("\n") == text.count("\n")
    last = shown.count("\n") + 1
    assert all(block.line <= last for block in markdown_blocks(shown))
