"""HTML: only what a reader sees, each line where it stands; no page can stop the connector."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloned_connector_documents.folders import Unreadable
from cloned_connector_documents.webpage import html_blocks

PAGE = """<!doctype html>
<html><head><title>The page</title>
<style>p { color: red }</style><script>
alert("<p>script</p>")
</script></head>
<body>
<!-- <p>comment</p> -->
<h1>Heading &amp; more</h1>
<p>First line
second <b>bold</b> line.</p>
<ul><li>one<li>two</ul>
<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>
<pre>x = 1</pre>
</body></html>
"""


def told(page: str) -> list[tuple[str, str, int, str]]:
    return [(block.kind, block.heading, block.line, block.text) for block in html_blocks(page)]


def test_a_page_becomes_blocks_at_their_lines() -> None:
    assert told(PAGE) == [
        ("prose", "Heading & more", 9, "First line\nsecond bold line."),
        ("list", "Heading & more", 11, "one"),
        ("list", "Heading & more", 11, "two"),
        ("table", "Heading & more", 12, "a | b"),
        ("table", "Heading & more", 12, "1 | 2"),
        ("code", "Heading & more", 13, "x = 1"),
    ]


@pytest.mark.parametrize(
    "hidden",
    [
        "<p hidden>secret</p>",
        "<div style='display: none'><p>secret</p></div>",
        "<p style='Visibility:hidden'>secret</p>",
        '<span style="font-size:0">secret</span>',
        "<template>secret</template>",
        "<noscript>secret</noscript>",
        "<svg><text>secret</text></svg>",
        "<SCRIPT>secret</SCRIPT>",
        "<script>secret",
        "<!-- secret",
        "<p hidden>a<p>secret",
        "<p style='opacity:0.0'>secret</p>",
        "<iframe>secret</iframe>",
        "<p style='color:transparent'>secret</p>",
    ],
)
def test_hidden_text_is_left_out(hidden: str) -> None:
    assert told(f"<p>seen</p>{hidden}") == [("prose", "", 1, "seen")]


def test_what_is_nearly_hidden_is_seen() -> None:
    page = "<p style='opacity:0.5'>one</p><p data-hidden>two</p><p style='font-size:0.9em'>three</p>"
    assert [text for *_, text in told(page)] == ["one", "two", "three"]


def test_entities_add_neither_lines_nor_invisible_characters() -> None:
    assert told("<p>a&#10;b&#8203;c&#x202e;d &lt;i&gt;\n</p><p>e</p>") == [
        ("prose", "", 1, "a bcd <i>"), ("prose", "", 2, "e"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "flood",
    ["<a " * 400_000, "<" * 300_000, "</" * 700_000, "&" * 300_000, '<a x="' + "a" * 1_000_000, "<![" * 100,
     "<div>" * 250_000, "<a" + " x" * 600_000],
)  # fmt: skip
def test_a_flood_of_broken_markup_is_refused_at_once(flood: str) -> None:
    with pytest.raises(Unreadable):
        html_blocks(flood)


@pytest.mark.parametrize(
    "deep", ["<div>" * 90_000 + "x", "<b>" * 90_000 + "</i>" * 90_000, "<p>" * 90_000 + "</p>" * 90_000 + "x"]
)
def test_deep_markup_is_read(deep: str) -> None:
    assert [text for *_, text in told(deep)] in (["x"], [])


@given(st.text(alphabet="<>/ab=\"' !-&;#p\n", max_size=300))
def test_no_markup_breaks_the_reader_or_moves_a_line(page: str) -> None:
    try:
        blocks = html_blocks(page)
    except Unreadable:
        return
    lines = page.count("\n") + 1
    for block in blocks:
        assert 1 <= block.line <= block.line + block.text.count("\n") <= lines
