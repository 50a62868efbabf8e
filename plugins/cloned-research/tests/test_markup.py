"""Markup out of a source's sentence, and nothing but text into a report."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloned_research.markup import escape, plain

MARKUP = st.text(alphabet="ab *_`[]()<>!\\&;#|~^x:/.\ue000", max_size=60)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("See [the guide](docs/guide.md#top) for **more** on _this_.", "See the guide for more on this."),
        ("Use [`cloned init`](a.md) and [other][ref].", "Use `cloned init` and other."),
        ("An image ![badge](https://e.example/b.svg) is gone.", "An image is gone."),
        ("Bold **with `code` inside** it.", "Bold with `code` inside it."),
        ("snake_case_name and 2 * 3 * 4 stay.", "snake_case_name and 2 * 3 * 4 stay."),
        ("A <b>tag</b>, a note[^1] and <https://e.example/x>.", "A tag, a note and https://e.example/x."),
        (r"Escaped \*stars\* &amp; entities &lt;b&gt;.", "Escaped *stars* & entities <b>."),
        ("[ ] an open task", "an open task"),
        ("``a`` and `[x](y)`", "`a` and `[x](y)`"),
    ],
)
def test_a_sentence_reads_as_when_rendered(raw: str, shown: str) -> None:
    assert plain(raw) == shown


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("[a](b) ![c](d) <img> *x*", r"\[a\](b) !\[c\](d) \<img\> \*x\*"),
        ("https://e.example www.e.example", r"https\://e.example www\.e.example"),
        ("&lt; _x_ snake_case `<b>` `", r"\&lt; \_x\_ snake_case `<b>` " + "\\`"),
    ],
)
def test_text_is_escaped_as_far_as_needed(text: str, markdown: str) -> None:
    assert escape(text) == markdown


@given(MARKUP)
def test_no_text_becomes_markup(text: str) -> None:
    written = escape(plain(text))
    outside = re.sub(r"(?<![`\\])(`{1,3})(?!`)[^`]*(?<!`)\1(?!`)", "", written)
    assert re.search(r"(?<!\\)(?:\\\\)*[\[\]<>*`]", outside) is None


@given(MARKUP)
def test_escaping_loses_nothing(text: str) -> None:
    assert re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", re.sub(r"`[^`]*`", "", escape(text.replace("`", "")))) == text.replace(
        "`", ""
    )
