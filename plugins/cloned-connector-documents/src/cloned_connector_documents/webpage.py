"""Read the visible text of HTML into blocks, each line of text at the line of the file that it stands on.

Owns what counts as hidden. Runs nothing, fetches nothing. Refuses markup that no honest page has: Python's parser
takes time that grows with the square of some malformed input, so what it may hold unread is bounded.
"""

import re
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser

from cloned_connector_documents.blocks import Block, Headings, Kind
from cloned_connector_documents.folders import Unreadable
from cloned_connector_documents.hidden import UNSEEN, style_hides
from cloned_connector_documents.plaintext import blank_between, clean

_PIECE = 8_192
_MOST_UNREAD = 65_536
_MOST_MARKS = 200_000
"""Tags and entities of one file."""

_TITLE = 7
"""The document's title: a heading above all others."""
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
_INLINE_NAMES = (
    "a abbr b bdi bdo br cite code data del dfn em font i img ins kbd label mark q ruby s samp small span strong sub "
    "sup time tt u var wbr"
)
_INLINE = frozenset(_INLINE_NAMES.split())
_CELLS = frozenset({"td", "th"})
_KINDS: dict[str, Kind] = {"li": "list", "dd": "list", "tr": "table", "pre": "code"}
_DATA_URI = re.compile(r"data:[^\s\"'>]{1000,}")


def html_blocks(text: str) -> list[Block]:
    """The blocks of an HTML document, in order. Raises Unreadable."""
    text = blank_between(text, "<!--", "-->")
    for tag in ("script", "style"):
        text = blank_between(text, f"<{tag}", f"</{tag}>")
    text = _DATA_URI.sub("data:", text)
    if text.count("<") + text.count("&") > _MOST_MARKS:
        raise Unreadable(f"more than {_MOST_MARKS} tags")
    reader = _Reader()
    try:
        for start in range(0, len(text), _PIECE):
            reader.feed(text[start : start + _PIECE])
            if len(reader.rawdata) > _MOST_UNREAD:
                raise Unreadable("malformed HTML: a tag without an end")
        reader.close()
    except AssertionError as error:  # how html.parser reports markup that it cannot read
        raise Unreadable("malformed HTML") from error
    return reader.finish()


@dataclass(slots=True)
class _Stack:
    """Which elements are open, and from where on they are hidden. Ending an element costs no search of the stack."""

    names: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    hidden_from: int | None = None

    def push(self, name: str, *, hidden: bool) -> None:
        if hidden and self.hidden_from is None:
            self.hidden_from = len(self.names)
        self.names.append(name)
        self.counts[name] = self.counts.get(name, 0) + 1

    def pop(self, name: str) -> None:
        if not self.counts.get(name):
            return
        while True:
            last = self.names.pop()
            self.counts[last] -= 1
            if self.hidden_from is not None and len(self.names) <= self.hidden_from:
                self.hidden_from = None
            if last == name:
                return

    def innermost(self, names: dict[str, Kind]) -> str | None:
        return next((name for name in names if self.counts.get(name)), None)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        # Entities come one by one, so that none of them can add a line.
        super().__init__(convert_charrefs=False)
        self._stack = _Stack()
        self._headings = Headings()
        self._done: list[Block] = []
        self._held: dict[int, list[str]] = {}
        self._kind: Kind = "prose"
        self._level = 0

    def finish(self) -> list[Block]:
        self._flush()
        return self._done

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _INLINE and tag not in _CELLS:
            self._flush()
            self._kind = _KINDS.get(tag, self._kind)
            self._level = int(tag[1]) if _is_heading(tag) else _TITLE if tag == "title" else 0
        elif tag in _CELLS and self._held:
            self._say(" | ")
        elif tag == "br":
            self._say(" ")
        if tag not in _VOID:
            self._stack.push(tag, hidden=tag in UNSEEN or _hides(attrs))

    def handle_endtag(self, tag: str) -> None:
        if tag not in _INLINE and tag not in _CELLS:
            self._flush()
            self._level = 0
        self._stack.pop(tag)
        inside = self._stack.innermost(_KINDS)
        self._kind = _KINDS[inside] if inside else "prose"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # HTML knows no self-closing form of other elements; browsers read <p/> as <p>.
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        self._say(data)

    def handle_entityref(self, name: str) -> None:
        self._say(clean(unescape(f"&{name};")).replace("\n", " "))

    def handle_charref(self, name: str) -> None:
        self.handle_entityref(f"#{name}")

    def _say(self, data: str) -> None:
        if self._stack.hidden_from is None:
            for number, part in enumerate(data.split("\n"), self.getpos()[0]):
                if part.strip() or number in self._held:
                    self._held.setdefault(number, []).append(part)

    def _flush(self) -> None:
        lines = {number: " ".join("".join(parts).split()) for number, parts in self._held.items()}
        self._held = {}
        told = [number for number, line in lines.items() if line]
        if not told:
            return
        first, last = min(told), max(told)
        text = "\n".join(lines.get(number, "") for number in range(first, last + 1))
        if self._level == _TITLE:
            self._headings.enter(1, text)
        elif self._level:
            self._headings.enter(self._level, text)
        else:
            self._done.append(Block(self._kind, self._headings.path(), first, text))


def _is_heading(tag: str) -> bool:
    return len(tag) == 2 and tag[0] == "h" and tag[1] in "123456"  # noqa: PLR2004 - h1 to h6


def _hides(attrs: list[tuple[str, str | None]]) -> bool:
    for name, value in attrs:
        if name == "hidden" and value != "until-found":
            return True
        if name == "style" and value and style_hides(value):
            return True
    return False
