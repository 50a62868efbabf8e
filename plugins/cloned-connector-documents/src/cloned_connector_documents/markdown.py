"""Read Markdown and plain text into blocks.

Owns what of CommonMark matters for finding passages: headings, fences, lists, tables, paragraphs. What a rendered page
does not show (comments, scripts, link definitions) is left out; every line keeps its number.
"""

import re
from dataclasses import dataclass, field

from cloned_connector_documents.blocks import LIST_ITEM, Block, Headings, Kind
from cloned_connector_documents.hidden import without_html
from cloned_connector_documents.plaintext import blank_between

_MOST_INDENT = 3
_DEFINITION = re.compile(r" {0,3}\[[^\]\[]{1,200}\]:[ \t]*\S")
_RULE = re.compile(r" {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$")
_SETEXT = {"=": 1, "-": 2}
_TITLE_LINES = 2
_LEVELS = 6


def visible(text: str) -> str:
    """Markdown without what its rendering hides; line by line the same."""
    text = without_html(blank_between(text, "<!--", "-->", at_line_start=True))
    return "\n".join("" if _DEFINITION.match(line) else line for line in text.split("\n"))


def markdown_blocks(text: str) -> list[Block]:
    """The blocks of visible Markdown, in order."""
    reader = _Reader(marked_up=True)
    lines = text.split("\n")
    begin = _after_front_matter(lines)
    for number, line in enumerate(lines[begin:], begin + 1):
        reader.take(number, line.rstrip())
    return reader.finish()


def text_blocks(text: str) -> list[Block]:
    """The blocks of plain text: paragraphs and lists between empty lines, under underlined headings."""
    reader = _Reader(marked_up=False)
    for number, line in enumerate(text.split("\n"), 1):
        reader.take(number, line.rstrip())
    return reader.finish()


def _after_front_matter(lines: list[str]) -> int:
    """How many lines of metadata open the file (`---` to `---`)."""
    if lines[0].rstrip() != "---":
        return 0
    return next((at + 1 for at, line in enumerate(lines[1:200], 1) if line.rstrip() in {"---", "..."}), 0)


@dataclass(slots=True)
class _Reader:
    marked_up: bool
    headings: Headings = field(default_factory=Headings)
    done: list[Block] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    kind: Kind = "prose"
    first: int = 0
    fence: str = ""

    def take(self, number: int, line: str) -> None:
        if self.fence:
            self._in_fence(line)
        elif not line:
            self._flush()
        elif self.marked_up and self._opens_fence(number, line):
            return
        elif self.marked_up and (heading := _atx(line)) is not None:
            self._flush()
            self.headings.enter(*heading)
        elif self._underlined(line):
            self._title(_SETEXT[line.strip()[0]])
        elif _RULE.match(line):
            self._flush()
        else:
            self._add(number, line, self._kind_of(line))

    def finish(self) -> list[Block]:
        self._flush()
        return self.done

    def _in_fence(self, line: str) -> None:
        self.held.append(line)
        if line.strip().startswith(self.fence) and not line.strip().strip(self.fence[0]):
            self.fence = ""
            self._flush()

    def _opens_fence(self, number: int, line: str) -> bool:
        start = line.lstrip()
        mark = start[:3]
        if mark not in {"```", "~~~"}:
            return False
        length = len(start) - len(start.lstrip(mark[0]))
        if mark == "```" and "`" in start[length:]:
            return False  # inline code that happens to open a line
        self._flush()
        self._add(number, line, "code")
        self.fence = mark[0] * length
        return True

    def _underlined(self, line: str) -> bool:
        """Whether a line makes the paragraph above it a heading (CommonMark's setext headings)."""
        mark = line.strip()
        titled = self.kind == "prose" and 0 < len(self.held) <= _TITLE_LINES
        return titled and len(mark) > 1 and mark[0] in _SETEXT and not mark.strip(mark[0])

    def _title(self, level: int) -> None:
        title = " ".join(self.held)
        self.held = []
        self.headings.enter(level, title)

    def _kind_of(self, line: str) -> Kind:
        if line.lstrip().startswith("|"):
            return "table"
        if LIST_ITEM.match(line) and (self.held == [] or self.kind == "list" or self.marked_up):
            return "list"
        if self.held and self.kind in {"list", "prose", "code"}:
            return self.kind  # a lazy continuation
        indented = self.marked_up and line.startswith(("    ", "\t")) and not self._after_list()
        return "code" if indented else "prose"

    def _after_list(self) -> bool:
        return bool(self.done) and self.done[-1].kind == "list"

    def _add(self, number: int, line: str, kind: Kind) -> None:
        if self.held and kind != self.kind:
            self._flush()
        if not self.held:
            self.first, self.kind = number, kind
        self.held.append(line)

    def _flush(self) -> None:
        if self.held:
            self.done.append(Block(self.kind, self.headings.path(), self.first, "\n".join(self.held)))
        self.held = []
        self.kind = "prose"


def _atx(line: str) -> tuple[int, str] | None:
    start = line.lstrip(" ")
    level = len(start) - len(start.lstrip("#"))
    rest = start[level:]
    if not 1 <= level <= _LEVELS or len(line) - len(start) > _MOST_INDENT or (rest and rest[0] not in " \t"):
        return None
    title = rest.strip()
    bare = title.rstrip("#")
    return level, bare.strip() if bare != title and (not bare or bare[-1] in " \t") else title
