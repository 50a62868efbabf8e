"""An index of passages in memory: FTS5 of SQLite, kept in step with the folders at each question.

Owns the database and the form of a query. What a person typed never reaches MATCH as syntax: it becomes quoted words.
One lock around everything; SQLite's own speed makes finer ones pointless here.
"""

import hashlib
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from cloned_connector_documents import folders
from cloned_connector_documents.blocks import KINDS, Block, Kind, cut
from cloned_connector_documents.folders import Found, PathRefused, Skipped, Survey, Unreadable
from cloned_connector_documents.markdown import markdown_blocks, text_blocks, visible
from cloned_connector_documents.plaintext import decode
from cloned_connector_documents.webpage import html_blocks

MAX_PASSAGES_OF_ONE = 20_000
MAX_PASSAGES = 200_000
MAX_TERMS = 32
_SCORE_UNIT = 1_000
"""Scores are whole thousandths of BM25's unit."""

_SCHEMA = """
CREATE TABLE files (id INTEGER PRIMARY KEY, folder TEXT, path TEXT, stamp TEXT, passages INTEGER, fault TEXT,
  UNIQUE (folder, path));
CREATE TABLE passages (id INTEGER PRIMARY KEY, file INTEGER, kind TEXT, heading TEXT, line INTEGER, text TEXT);
CREATE INDEX passages_of ON passages (file);
CREATE VIRTUAL TABLE words USING fts5 (text, title, above, path, content = '', tokenize = 'porter unicode61');
"""
# Weights: the passage's own heading says most about it, the headings above that and the path a little.
_SEARCH = """
SELECT f.folder, f.path, p.line, p.kind, p.heading, p.text, bm25(words, 1.0, 6.0, 1.0, 1.5) AS rank
FROM words JOIN passages p ON p.id = words.rowid JOIN files f ON f.id = p.file
WHERE words MATCH ? AND (? IS NULL OR f.folder = ?) AND instr(?, p.kind)
ORDER BY rank, f.folder, f.path, p.line, p.id LIMIT ?
"""

# Chinese, Japanese and Korean are written without spaces; each character becomes a word of its own.
_UNSPACED = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af])")
_WORD = re.compile(r"[^\W_]+(?:_[^\W_]+)*")
_STOP_WORDS = (
    # Words of questions rather than of their subject, too: "how does X work", "what happens when".
    "happen happens work works explain describe "
    "a about above across after again against all also am among an and any are as at be because been before being "
    "below between both but by can could did do does doing down during each few for from further had has have having "
    "he her here hers him his how i if in into is it its itself just may me might more most must my no nor not of off "
    "on once only or other our ours out over own per please same shall she should so some such tell than that the "
    "their theirs them then there these they this those through to too under until up very via was we were what when "
    "where whether which while who whom why will with within without would you your yours"
)
_STOP = frozenset(_STOP_WORDS.split())


@dataclass(frozen=True, slots=True)
class Passage:
    """A place of a document. Line n of `text` is line `line_start + n - 1` of the file; lines count from 1."""

    source: str
    folder: str
    path: str
    line_start: int
    line_end: int
    kind: Kind
    heading: str
    text: str
    content_hash: str
    score: int


@dataclass(frozen=True, slots=True)
class State:
    """What the index holds after it was brought up to date."""

    documents: tuple[tuple[Found, int], ...]
    """Each searchable document with the number of its passages."""
    skipped: tuple[Skipped, ...]
    other_files: int


class Index:
    """The passages of the granted folders."""

    def __init__(self) -> None:
        self._lock = Lock()
        # Handlers run on several threads; the lock above lets one at a time in.
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.executescript(_SCHEMA)
        self._held = 0

    def refresh(self, granted: Mapping[str, Path], watch: Callable[[int, int], None]) -> State:
        """Walk the folders and index what is new or changed.

        `watch(done, total)` is told of each file to read, and may raise to stop; what was read by then is kept.
        """
        with self._lock:
            return self._refresh(granted, watch)

    def search(
        self, terms: Sequence[str], limit: int, folder: str | None = None, kinds: Sequence[Kind] = KINDS
    ) -> list[Passage]:
        """The best passages that hold any of the terms (as `terms_of` gives them), best first, in a fixed order."""
        if not terms:
            return []
        question = " OR ".join(f'"{_spaced(term)}"' for term in terms)
        with self._lock:
            rows = self._database.execute(_SEARCH, (question, folder, folder, " ".join(kinds), limit)).fetchall()
        return [_passage(row) for row in rows]

    def _refresh(self, granted: Mapping[str, Path], watch: Callable[[int, int], None]) -> State:
        seen = folders.survey(granted)
        known = {(row[0], row[1]): row[2] for row in self._database.execute("SELECT folder, path, stamp FROM files")}
        wanted = {(found.folder, found.path): repr(found.stamp) for found in seen.found}
        for place, stamp in known.items():
            if wanted.get(place) != stamp:
                self._forget(*place)
        fresh = [found for found in seen.found if known.get((found.folder, found.path)) != repr(found.stamp)]
        for done, found in enumerate(fresh):
            watch(done, len(fresh))
            self._learn(found, granted[found.folder])
        return self._state(seen)

    def _learn(self, found: Found, root: Path) -> None:
        fault: str | None = None
        pieces: list[Block] = []
        try:
            blocks = blocks_of(folders.read(root, found.path), found.kind)
            pieces = [piece for block in blocks for piece in cut(block)]
        except (Unreadable, PathRefused) as reason:
            fault = str(reason)
        room = min(MAX_PASSAGES_OF_ONE, MAX_PASSAGES - self._held)
        if len(pieces) > room:
            fault = f"only its first {room} of {len(pieces)} passages are searched"
        self._keep(found, pieces[:room], fault)

    def _keep(self, found: Found, pieces: Sequence[Block], fault: str | None) -> None:
        execute = self._database.execute
        with self._database:
            values = (found.folder, found.path, repr(found.stamp), len(pieces), fault)
            file = execute("INSERT INTO files VALUES (NULL, ?, ?, ?, ?, ?)", values).lastrowid
            for piece in pieces:
                row = (file, piece.kind, piece.heading, piece.line, piece.text)
                passage = execute("INSERT INTO passages VALUES (NULL, ?, ?, ?, ?, ?)", row).lastrowid
                words = (passage, *_columns(piece.text, piece.heading, found.path))
                execute("INSERT INTO words (rowid, text, title, above, path) VALUES (?, ?, ?, ?, ?)", words)
        self._held += len(pieces)

    def _forget(self, folder: str, path: str) -> None:
        execute = self._database.execute
        file = execute("SELECT id FROM files WHERE folder = ? AND path = ?", (folder, path)).fetchone()[0]
        with self._database:
            rows = execute("SELECT id, text, heading FROM passages WHERE file = ?", (file,)).fetchall()
            for row in rows:
                # A contentless index is told what it forgets (https://www.sqlite.org/fts5.html, section 6.4).
                words = ("delete", row[0], *_columns(row[1], row[2], path))
                execute("INSERT INTO words (words, rowid, text, title, above, path) VALUES (?, ?, ?, ?, ?, ?)", words)
            execute("DELETE FROM passages WHERE file = ?", (file,))
            execute("DELETE FROM files WHERE id = ?", (file,))
        self._held -= len(rows)

    def _state(self, seen: Survey) -> State:
        rows = self._database.execute("SELECT folder, path, passages, fault FROM files").fetchall()
        facts = {(row[0], row[1]): (int(row[2]), row[3]) for row in rows}
        documents: list[tuple[Found, int]] = []
        skipped = list(seen.skipped)
        for found in seen.found:
            passages, fault = facts[found.folder, found.path]
            if fault is not None:
                skipped.append(Skipped(found.folder, found.path, fault))
            if fault is None or passages:
                documents.append((found, passages))
        skipped.sort(key=lambda one: (one.folder, one.path))
        return State(tuple(documents), tuple(skipped), seen.other_files)


def blocks_of(data: bytes, kind: str) -> list[Block]:
    """The blocks of a document of a kind. Raises Unreadable."""
    text = decode(data)
    if kind == "html":
        return html_blocks(text)
    return markdown_blocks(visible(text)) if kind == "markdown" else text_blocks(text)


def terms_of(query: str) -> list[str]:
    """The words that a query asks for: lower case, each once, without those that every text has; at most 32."""
    words = list(dict.fromkeys(_WORD.findall(query.lower())))
    return ([word for word in words if word not in _STOP] or words)[:MAX_TERMS]


def _columns(text: str, heading: str, path: str) -> tuple[str, str, str, str]:
    above, _, title = heading.rpartition(" > ")
    return _spaced(text), _spaced(title), _spaced(above), _spaced(path)


def _spaced(text: str) -> str:
    return text if text.isascii() else _UNSPACED.sub(r" \1 ", text)


def _passage(row: tuple[str, str, int, Kind, str, str, float]) -> Passage:
    folder, path, line, kind, heading, text, rank = row
    return Passage(
        source=f"documents:{folder}",
        folder=folder,
        path=path,
        line_start=line,
        line_end=line + text.count("\n"),
        kind=kind,
        heading=heading,
        text=text,
        content_hash=hashlib.sha256(text.encode()).hexdigest(),
        score=max(0, round(-rank * _SCORE_UNIT)),
    )
