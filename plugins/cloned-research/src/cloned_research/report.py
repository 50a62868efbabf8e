"""Lay chosen sentences out as a Markdown report in which every claim is a quotation with its place.

Owns the report's form. The same question and passages give the same bytes: no times, no ids, nothing of this machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cloned_research.markup import escape, plain

_TITLE_CHARS = 200
_HEADING_CHARS = 160


@dataclass(frozen=True, slots=True)
class Claim:
    """One quoted sentence, at `line` of `document` (`<folder>/<path>`). `citation` is its number, 0 until it has one.

    `shown` is without markup, `quote` verbatim; `position` tells sentences of a line apart; `opens` is whether it
    may stand in the short answer.
    """

    shown: str
    quote: str
    source: str
    document: str
    line: int
    position: int
    heading: str
    content_hash: str
    retrieved_at: str
    opens: bool
    score: float = 0.0
    citation: int = 0

    @property
    def locator(self) -> str:
        """`<folder>/<path>:<line>`."""
        return f"{self.document}:{self.line}"


@dataclass(frozen=True, slots=True)
class Arranged:
    """The claims in the order of the report, numbered in it: the short answer, then by section of a document."""

    answer: tuple[Claim, ...]
    sections: tuple[tuple[str, tuple[Claim, ...]], ...]

    @property
    def claims(self) -> tuple[Claim, ...]:
        """All of them, by their number."""
        return (*self.answer, *(claim for _, claims in self.sections for claim in claims))


@dataclass(frozen=True, slots=True)
class Looked:
    """What was looked through, and which words of the question (as asked) it never mentions."""

    passages: int
    documents: int
    asked: tuple[str, ...]
    missing: tuple[str, ...]


def title_of(question: str) -> str:
    """The question as a title: one line of plain text."""
    title = " ".join(question.split())
    return title if len(title) <= _TITLE_CHARS else title[: _TITLE_CHARS - 1].rstrip() + "…"


def arrange(claims: Sequence[Claim], answers: int) -> Arranged:
    """Take `answers` claims for the short answer, the best that may stand there, and group the others by section.

    `claims` come best first. The section that says most comes first; within one the text's own order holds.
    """
    answer = ([claim for claim in claims if claim.opens] or list(claims))[:answers]
    groups: dict[tuple[str, str], list[Claim]] = {}
    for claim in claims:
        if claim not in answer:
            groups.setdefault((claim.document, claim.heading), []).append(claim)
    sections = sorted(groups.items(), key=lambda pair: (-round(sum(claim.score for claim in pair[1]), 6), pair[0]))
    number = len(answer)
    numbered: list[tuple[str, tuple[Claim, ...]]] = []
    for (document, heading), group in sections:
        group.sort(key=lambda claim: (claim.line, claim.position))
        numbered.append((_section(document, heading), _numbered(group, number)))
        number += len(group)
    return Arranged(_numbered(answer, 0), tuple(numbered))


def _numbered(claims: Sequence[Claim], after: int) -> tuple[Claim, ...]:
    return tuple(replace(claim, citation=number) for number, claim in enumerate(claims, after + 1))


def found(title: str, arranged: Arranged, looked: Looked) -> str:
    """The report: a short answer, what else the sources say by place, and every source."""
    lines = [f"# {escape(title)}", "", _how(looked), "", "## Short answer", ""]
    lines += [_bullet(claim) for claim in arranged.answer]
    if arranged.sections:
        lines += ["", "## Findings"]
        for heading, claims in arranged.sections:
            lines += ["", f"### {heading}", "", *(_bullet(claim) for claim in claims)]
    if looked.missing:
        lines += ["", "## Not covered", "", f"The sources searched do not mention: {_listed(looked.missing)}."]
    lines += ["", "## Sources", ""]
    # Two spaces at the end of a line are Markdown's line break.
    lines += ["  \n".join(_source(claim) for claim in arranged.claims), ""]
    return "\n".join(lines)


def nothing(title: str, looked: Looked) -> str:
    """The report where no source is about the question."""
    lines = [f"# {escape(title)}", "", "**Nothing relevant was found.**", ""]
    if looked.passages:
        lines.append(
            f"{_counted(looked.passages, 'passage')} in {_counted(looked.documents, 'document')} came closest, "
            "but none of them is about this question, so none is quoted."
        )
    else:
        lines.append("No passage in the sources holds any word of this question.")
    if looked.asked:
        lines += ["", f"Looked for: {_listed(looked.asked)}."]
    if looked.missing:
        lines += ["", f"Mentioned nowhere: {_listed(looked.missing)}."]
    lines += ["", "Try other words, or grant a folder that covers the subject.", ""]
    return "\n".join(lines)


def _how(looked: Looked) -> str:
    return (
        f"_Every statement below is quoted from the sources, word for word; nothing was added. Chosen from "
        f"{_counted(looked.passages, 'passage')} in {_counted(looked.documents, 'document')}._"
    )


def _bullet(claim: Claim) -> str:
    return f"- “{escape(claim.shown)}” [{claim.citation}]"


def _source(claim: Claim) -> str:
    heading = _heading(claim.heading)
    return f"[{claim.citation}] {escape(claim.locator)}" + (f" — {heading}" if heading else "")


def _section(document: str, heading: str) -> str:
    title = _heading(heading.rpartition(" > ")[2])
    return f"{title} ({escape(document)})" if title else escape(document)


def _heading(heading: str) -> str:
    title = plain(" \u203a ".join(heading.split(" > ")))
    return escape(title if len(title) <= _HEADING_CHARS else title[: _HEADING_CHARS - 1].rstrip() + "…")


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(escape(word) for word in words)
