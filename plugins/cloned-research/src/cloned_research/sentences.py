"""Cut passages into sentences that can be quoted, each at its exact line.

A quote is verbatim: the source's own characters, with line breaks and runs of spaces as one space. Headings, code,
rules and fragments are nobody's sentence and are left out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from cloned_research import markup
from cloned_research.words import spoken

LONGEST = 360
"""Characters of a quote; longer sentences are quoted by the clauses between semicolons."""
_LONGEST_AT_ALL = 600
_LEAST_WORDS = 5
_LEAST_CJK = 8

_ITEM = re.compile(r"(?m)^[ \t]*(?:>[ \t]?)*(?:[-*+]|[0-9]{1,9}[.)])[ \t]+")
_QUOTED = re.compile(r"[ \t]*(?:>[ \t]?)+")
_HEADING = re.compile(r"#{1,6}(?:\s|$)")
_END = re.compile(r"[.!?]+[\"'\u201d\u2019)\]*_`]*(?=\s)|[。\uff01\uff1f]+[\u201d\u2019」』\uff09]*")
_OPENS = re.compile(r"\s*[\"'\u201c\u2018(\[*_`]*(?:[^\W\d_a-z]|[0-9])|\s*[\"'\u201c\u2018(\[*_]*`")
_CLAUSE = re.compile(r";\s+")
_DIVIDER = re.compile(r"[\s|:*_=+-]*$")
_SHORTENED = (
    "e.g i.e cf vs approx dr mr mrs ms prof st fig figs eq no nos vol ch sec inc ltd co dept est jan feb mar apr jun "
    "jul aug sep sept oct nov dec u.s u.k a.m p.m al ca"
)
_ABBREVIATIONS = frozenset(_SHORTENED.split())


@dataclass(frozen=True, slots=True)
class Sentence:
    """`quote` is verbatim but for white space, `shown` the same without markup; `line` counts from the passage's 0."""

    line: int
    quote: str
    shown: str
    cut_before: bool = False
    cut_after: bool = False


def sentences(text: str, kind: str) -> list[Sentence]:
    """The sentences of a passage of some kind: prose, list or table; code has none."""
    if kind == "code" or text.lstrip().startswith(("```", "~~~")):
        return []
    found: list[Sentence] = []
    for start, end in _rows(text) if kind == "table" else _units(text):
        if kind == "table":
            found += _sentence(text, start, end, markup.row(text[start:end]))
            continue
        for first, last in _split(text, start, end):
            found += _clauses(text, first, last)
    return found


def _rows(text: str) -> Iterator[tuple[int, int]]:
    lines = text.split("\n")
    start = 0
    for number, line in enumerate(lines):
        header = number + 1 < len(lines) and "-" in lines[number + 1] and _DIVIDER.match(lines[number + 1])
        if not header and not _DIVIDER.match(line):
            yield start, start + len(line)
        start += len(line) + 1


def _units(text: str) -> Iterator[tuple[int, int]]:
    """Where the paragraphs and list items of a passage begin and end."""
    starts = [0, *(match.start() for match in _ITEM.finditer(text)), len(text)]
    for first, last in pairwise(starts):
        marker = _ITEM.match(text, first, last) or _QUOTED.match(text, first, last)
        begin = marker.end() if marker else first
        if begin < last and not _HEADING.match(text[begin:last].lstrip()):
            yield begin, last


def _split(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the sentences of a unit begin and end."""
    first = start
    ticks = 0
    seen = start
    for match in _END.finditer(text, start, end):
        ticks += text.count("`", seen, match.end())
        seen = match.end()
        if ticks % 2 == 0 and _ends(text, first, match, end):
            yield first, match.end()
            first = match.end()
    if text[first:end].strip():
        yield first, end


def _ends(text: str, first: int, match: "re.Match[str]", end: int) -> bool:
    if match.group()[0] in "。\uff01\uff1f":
        return True
    if not _OPENS.match(text, match.end(), end):
        return False
    if match.group()[0] != ".":
        return True
    before = text[max(first, match.start() - 12) : match.start()].split()
    last = before[-1].lstrip("(\"'\u201c\u2018*_[").lower() if before else ""
    return last not in _ABBREVIATIONS and not (len(last) == 1 and last.isalpha())


def _clauses(text: str, start: int, end: int) -> Iterator[Sentence]:
    if end - start <= LONGEST:
        yield from _sentence(text, start, end)
        return
    cuts = [match.start() + 1 for match in _CLAUSE.finditer(text, start, end) if _balanced(text[start : match.start()])]
    first = last = start
    for cut in [*cuts, end]:
        if cut - first > LONGEST and last > first:
            yield from _sentence(text, first, last, before=first > start, after=True)
            first = last
        last = cut
    yield from _sentence(text, first, end, before=first > start)


def _balanced(text: str) -> bool:
    return text.count("(") <= text.count(")") and text.count("`") % 2 == 0


def _sentence(
    text: str, start: int, end: int, raw: str | None = None, *, before: bool = False, after: bool = False
) -> Iterator[Sentence]:
    stretch = text[start:end]
    first = start + len(stretch) - len(stretch.lstrip())
    quote = " ".join(stretch.split())
    if len(quote) > _LONGEST_AT_ALL:
        return
    shown = markup.plain(raw if raw is not None else _unquoted(quote))
    words = list(spoken(markup.without_code(shown)))
    cjk = sum(len(word) == 1 and not word.isascii() for word in words)
    if len(words) >= _LEAST_WORDS and (not cjk or cjk >= _LEAST_CJK or len(words) - cjk >= _LEAST_WORDS):
        yield Sentence(text.count("\n", 0, first), quote, shown, before, after)


def _unquoted(quote: str) -> str:
    # The marks of a block quote that runs over several lines stand between its words.
    return quote.replace(" > ", " ") if quote.count(" > ") else quote
