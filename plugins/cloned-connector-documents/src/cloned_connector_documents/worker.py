"""The tools of the documents connector: list, search and read what a person granted."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field

from cloned_connector_documents import folders
from cloned_connector_documents.blocks import KINDS, Kind
from cloned_connector_documents.folders import PathRefused, Unreadable
from cloned_connector_documents.index import Index, Passage, State, blocks_of, terms_of
from cloned_connector_documents.markdown import visible
from cloned_connector_documents.plaintext import decode
from cloned_sdk import Call, Server, ToolError

MAX_SKIPPED_SHOWN = 100
_PROGRESS_EVERY = 50

server = Server("cloned_connector_documents")
_index = Index()

Name = Annotated[str, Meta(min_length=1, max_length=60)]


class ListInputs(Struct, forbid_unknown_fields=True):
    """Which documents to list: of one folder or all, a page at a time."""

    folder: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 200
    offset: Annotated[int, Meta(ge=0, le=100_000)] = 0


class SearchInputs(Struct, forbid_unknown_fields=True):
    """What to look for, in which folder (all where none is named) and in which kinds of passages."""

    query: Annotated[str, Meta(min_length=1, max_length=2_000)]
    limit: Annotated[int, Meta(ge=1, le=50)] = 10
    folder: Name | None = None
    kinds: Annotated[list[Kind], Meta(min_length=1, max_length=4)] = field(default_factory=lambda: list(KINDS))


class ReadInputs(Struct, forbid_unknown_fields=True):
    """Which lines of which document. Lines count from 1, both ends included."""

    folder: Name
    path: Annotated[str, Meta(min_length=1, max_length=900)]
    line_start: Annotated[int, Meta(ge=1)] = 1
    line_end: Annotated[int, Meta(ge=1)] | None = None
    max_chars: Annotated[int, Meta(ge=1, le=100_000)] = 20_000


class SkippedOut(Struct):
    """Something that is not searched, and why."""

    folder: str
    path: str
    reason: str


class DocumentOut(Struct):
    """A document that can be searched and read. `size` in bytes."""

    folder: str
    path: str
    kind: str
    size: int
    passages: int


class ListOutput(Struct):
    """Documents in a fixed order; `total` counts all of them, `other_files` the files that are no documents."""

    documents: list[DocumentOut]
    total: int
    other_files: int
    skipped: list[SkippedOut]
    skipped_total: int


class PassageOut(Struct):
    """See index.Passage. `retrieved_at` is when this search read it (UTC)."""

    source: str
    folder: str
    path: str
    line_start: int
    line_end: int
    kind: str
    heading: str
    text: str
    content_hash: str
    score: int
    retrieved_at: str


class SearchOutput(Struct):
    """Passages, best first. `terms` are the words that were looked for; `documents` counts what was searched."""

    terms: list[str]
    passages: list[PassageOut]
    documents: int
    skipped: list[SkippedOut]
    skipped_total: int


class ReadOutput(Struct):
    """Lines `line_start` to `line_end` of a document; `truncated` where max_chars cut them off."""

    source: str
    folder: str
    path: str
    line_start: int
    line_end: int
    total_lines: int
    truncated: bool
    text: str
    content_hash: str


@server.tool("cloned.documents.list@v1")
def list_documents(inputs: ListInputs, call: Call) -> ListOutput:
    """What there is to search. Raises ToolError NO_FOLDER, FOLDER_UNKNOWN, CANCELLED."""
    state = _refreshed(inputs.folder, call)
    documents = [
        DocumentOut(found.folder, found.path, found.kind, found.size, passages)
        for found, passages in state.documents
        if inputs.folder in (None, found.folder)
    ]
    page = documents[inputs.offset : inputs.offset + inputs.limit]
    skipped = _skipped(state, inputs.folder)
    return ListOutput(page, len(documents), state.other_files, skipped[:MAX_SKIPPED_SHOWN], len(skipped))


@server.tool("cloned.documents.search@v1")
def search(inputs: SearchInputs, call: Call) -> SearchOutput:
    """The passages that fit a query best. Raises ToolError NO_FOLDER, FOLDER_UNKNOWN, CANCELLED."""
    state = _refreshed(inputs.folder, call)
    terms = terms_of(inputs.query)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    passages = [_told(passage, now) for passage in _index.search(terms, inputs.limit, inputs.folder, inputs.kinds)]
    searched = sum(inputs.folder in (None, found.folder) for found, _ in state.documents)
    skipped = _skipped(state, inputs.folder)
    return SearchOutput(terms, passages, searched, skipped[:MAX_SKIPPED_SHOWN], len(skipped))


@server.tool("cloned.documents.read@v1")
def read(inputs: ReadInputs, call: Call) -> ReadOutput:
    """Some lines of one document.

    Raises ToolError NO_FOLDER, FOLDER_UNKNOWN, PATH_REFUSED, UNREADABLE, LINES_UNKNOWN.
    """
    _checked(inputs.folder, call)
    lines = _lines(call.granted[inputs.folder], inputs.path)
    end = min(inputs.line_end or len(lines), len(lines))
    if not inputs.line_start <= end:
        raise ToolError("LINES_UNKNOWN", f"{inputs.path} has {len(lines)} lines; ask for lines in that range")
    kept = _within(lines[inputs.line_start - 1 : end], inputs.max_chars)
    text = "\n".join(kept)
    return ReadOutput(
        source=f"documents:{inputs.folder}",
        folder=inputs.folder,
        path=inputs.path,
        line_start=inputs.line_start,
        line_end=inputs.line_start + len(kept) - 1,
        total_lines=len(lines),
        truncated=len(text) < len("\n".join(lines[inputs.line_start - 1 : end])),
        text=text,
        content_hash=sha256(text.encode()).hexdigest(),
    )


def _refreshed(folder: str | None, call: Call) -> State:
    _checked(folder, call)
    return _index.refresh(call.granted, _watch(call))


def _checked(folder: str | None, call: Call) -> None:
    if not call.granted:
        repair = "run 'cloned plugin grant cloned-connector-documents --folder documents=PATH'"
        raise ToolError("NO_FOLDER", f"no folder is granted, so there is nothing to search; {repair}")
    if folder is not None and folder not in call.granted:
        raise ToolError(
            "FOLDER_UNKNOWN", f"no folder {folder!r} is granted; there is {', '.join(sorted(call.granted))}"
        )


def _watch(call: Call) -> Callable[[int, int], None]:
    def watch(done: int, total: int) -> None:
        if call.cancelled:
            raise ToolError("CANCELLED", f"cancelled after {done} of {total} documents")
        if done % _PROGRESS_EVERY == 0:
            call.progress(done, total, "reading documents")

    return watch


def _skipped(state: State, folder: str | None) -> list[SkippedOut]:
    return [SkippedOut(one.folder, one.path, one.reason) for one in state.skipped if folder in (None, one.folder)]


def _told(passage: Passage, now: str) -> PassageOut:
    return PassageOut(**asdict(passage), retrieved_at=now)


def _lines(root: Path, path: str) -> list[str]:
    kind = folders.kind_of(path.rpartition("/")[2])
    if kind is None:
        raise ToolError("UNREADABLE", f"{path} is no Markdown, text or HTML file")
    try:
        data = folders.read(root, path)
        if kind == "html":
            return _placed(data)
        text = decode(data)
    except PathRefused as reason:
        raise ToolError("PATH_REFUSED", str(reason)) from reason
    except Unreadable as reason:
        raise ToolError("UNREADABLE", f"{path}: {reason}") from reason
    return (visible(text) if kind == "markdown" else text).split("\n")


def _placed(data: bytes) -> list[str]:
    """The visible text of an HTML file, each line where it stands in the file."""
    lines: list[str] = []
    for block in blocks_of(data, "html"):
        rows = block.text.split("\n")
        lines += [""] * (block.line + len(rows) - 1 - len(lines))
        for number, row in enumerate(rows, block.line - 1):
            lines[number] = f"{lines[number]} {row}".strip()
    return lines or [""]


def _within(lines: list[str], most: int) -> list[str]:
    kept: list[str] = []
    room = most
    for line in lines:
        if kept and len(line) + 1 > room:
            break
        kept.append(line[:room])
        room -= len(line) + 1
    return kept
