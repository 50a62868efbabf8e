"""The research tool: from a question and passages to a cited report."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from msgspec import Meta, Struct

from cloned_research import report
from cloned_research.ranking import choose, points_back
from cloned_research.relevance import Candidate
from cloned_research.report import Claim, Looked
from cloned_research.sentences import Sentence, sentences
from cloned_research.words import asked, stems
from cloned_sdk import Call, Server, ToolError

_ANSWER = 3
_ANSWER_CHARS = 300
"""How many sentences the short answer has, and how long each may be."""
_SLUG_CHARS = 60

server = Server("cloned_research")

Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Moment = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")]


class PassageIn(Struct):
    """A place of a source. Line n of `text` is line `line_start + n - 1` of the document."""

    source: Annotated[str, Meta(min_length=1, max_length=200)]
    folder: Annotated[str, Meta(min_length=1, max_length=60)]
    path: Annotated[str, Meta(min_length=1, max_length=900)]
    line_start: Annotated[int, Meta(ge=1)]
    text: Annotated[str, Meta(max_length=20_000)]
    content_hash: Hash
    retrieved_at: Moment
    heading: Annotated[str, Meta(max_length=1_000)] = ""
    kind: Annotated[str, Meta(max_length=20)] = "prose"


class Inputs(Struct, forbid_unknown_fields=True):
    """What to answer, from what, and in how many sentences at most."""

    question: Annotated[str, Meta(min_length=1, max_length=2_000)]
    passages: Annotated[list[PassageIn], Meta(max_length=200)]
    max_sentences: Annotated[int, Meta(ge=1, le=60)] = 14


class Citation(Struct):
    """Where a quoted sentence stands. `quote` is verbatim but for white space; `content_hash` is its passage's."""

    citation: int
    source: str
    locator: str
    content_hash: str
    quote: str


class Provenance(Struct):
    """A citation as an artifact's manifest keeps it."""

    citation: int
    source: str
    locator: str
    content_hash: str
    retrieved_at: str


class Output(Struct):
    """The report. `found` is false where no passage is about the question; then nothing is cited."""

    found: bool
    title: str
    file_name: str
    markdown: str
    citations: list[Citation]
    provenance: list[Provenance]


@server.tool("cloned.research.synthesize@v1")
def synthesize(inputs: Inputs, call: Call) -> Output:
    """Answer a question by the passages' own sentences. Raises ToolError QUESTION_EMPTY, CANCELLED."""
    subject = asked(inputs.question)
    if not subject:
        raise ToolError("QUESTION_EMPTY", "the question holds no word to look for; ask with words")
    title = report.title_of(inputs.question)
    claims = _claims(inputs, list(subject))
    if call.cancelled:
        raise ToolError("CANCELLED", "cancelled while reading the passages")
    looked = _looked(inputs, subject)
    if not claims:
        markdown = report.nothing(title, looked)
        return Output(
            found=False, title=title, file_name=_file_name(title), markdown=markdown, citations=[], provenance=[]
        )
    arranged = report.arrange(claims, _ANSWER)
    markdown = report.found(title, arranged, looked)
    citations, provenance = _told(arranged.claims)
    file_name = _file_name(title)
    return Output(
        found=True, title=title, file_name=file_name, markdown=markdown, citations=citations, provenance=provenance
    )


def _told(claims: Sequence[Claim]) -> tuple[list[Citation], list[Provenance]]:
    """Where each claim stands, for the reader and for the artifact's manifest."""
    shared = [(claim.citation, claim.source, claim.locator, claim.content_hash) for claim in claims]
    citations = [Citation(*place, claim.quote) for place, claim in zip(shared, claims, strict=True)]
    provenance = [Provenance(*place, claim.retrieved_at) for place, claim in zip(shared, claims, strict=True)]
    return citations, provenance


def _claims(inputs: Inputs, terms: list[str]) -> list[Claim]:
    """The sentences chosen, best first."""
    claims: list[Claim] = []
    candidates: list[Candidate] = []
    for number, passage in enumerate(inputs.passages):
        above, _, title = passage.heading.rpartition(" > ")
        for position, sentence in enumerate(sentences(passage.text, passage.kind)):
            claims.append(_claim(passage, sentence, position, terms))
            place = (number, position)
            candidates.append(Candidate(place, sentence.shown, passage.kind, title, above, passage.text, passage.path))
    chosen = choose(candidates, terms, inputs.max_sentences)
    return [replace(claims[choice.index], score=choice.score) for choice in chosen]


def _claim(passage: PassageIn, sentence: Sentence, position: int, terms: Sequence[str]) -> Claim:
    shown = f"{'… ' if sentence.cut_before else ''}{sentence.shown}{' …' if sentence.cut_after else ''}"
    return Claim(
        shown=shown,
        quote=sentence.quote,
        source=passage.source,
        document=f"{passage.folder}/{passage.path}",
        line=passage.line_start + sentence.line,
        position=position,
        heading=passage.heading,
        content_hash=passage.content_hash,
        retrieved_at=passage.retrieved_at,
        opens=passage.kind != "table"
        and len(shown) <= _ANSWER_CHARS
        and not sentence.shown.endswith(":")
        and not points_back(sentence.shown)
        and not set(terms).isdisjoint(stems(shown)),
    )


def _looked(inputs: Inputs, subject: dict[str, str]) -> Looked:
    mentioned = {word for one in inputs.passages for word in stems(f"{one.text} {one.heading} {one.path}")}
    missing = tuple(word for stem, word in subject.items() if stem not in mentioned)
    documents = len({(one.folder, one.path) for one in inputs.passages})
    return Looked(len(inputs.passages), documents, tuple(subject.values()), missing)


def _file_name(title: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return f"{slug[:_SLUG_CHARS].rstrip('-') or 'report'}.md"
