"""A document as blocks: a paragraph, a list, a table or a piece of code, each under its headings at its exact lines.

Owns the value that the readers of each format produce, and how a block too long for one passage is cut.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["prose", "list", "table", "code"]
KINDS: tuple[Kind, ...] = ("prose", "list", "table", "code")
MAX_PASSAGE = 1_200
"""Characters of one passage."""
MAX_HEADING = 300

LIST_ITEM = re.compile(r"[ \t]*(?:[-*+]|[0-9]{1,9}[.)])[ \t]+")


@dataclass(frozen=True, slots=True)
class Block:
    """`text` has one line for each line of the file from `line` (1-based) on; `heading` is a path, "A > B"."""

    kind: Kind
    heading: str
    line: int
    text: str


@dataclass(slots=True)
class Headings:
    """The headings that are open at some place of a document."""

    _open: list[tuple[int, str]] = field(default_factory=list)

    def enter(self, level: int, title: str) -> None:
        """Begin a section of level 1 (highest) to 6."""
        self._open = [pair for pair in self._open if pair[0] < level]
        self._open.append((level, " ".join(title.split())))

    def path(self) -> str:
        """The way down to here."""
        return " > ".join(title for _, title in self._open if title)[:MAX_HEADING]


def cut(block: Block) -> Iterator[Block]:
    """The block in pieces of at most MAX_PASSAGE characters: between items or lines, else between sentences."""
    if len(block.text) <= MAX_PASSAGE:
        yield block
        return
    held: list[str] = []
    first = size = 0
    for number, line in enumerate(block.text.split("\n")):
        full = size + len(line) > MAX_PASSAGE
        if held and (full or (block.kind == "list" and size > MAX_PASSAGE // 2 and LIST_ITEM.match(line))):
            yield Block(block.kind, block.heading, block.line + first, "\n".join(held))
            held, size = [], 0
        if not held:
            first = number
        pieces = _cut_line(line)
        for piece in pieces[:-1]:
            yield Block(block.kind, block.heading, block.line + number, piece)
        held.append(pieces[-1])
        size += len(pieces[-1]) + 1
    yield Block(block.kind, block.heading, block.line + first, "\n".join(held))


def _cut_line(line: str) -> list[str]:
    pieces: list[str] = []
    while len(line) > MAX_PASSAGE:
        end = line.rfind(". ", MAX_PASSAGE // 2, MAX_PASSAGE) + 1
        end = end or line.rfind(" ", MAX_PASSAGE // 2, MAX_PASSAGE) or MAX_PASSAGE
        end = end if end > 0 else MAX_PASSAGE
        pieces.append(line[:end])
        line = line[end:].lstrip()
    return [*pieces, line]
