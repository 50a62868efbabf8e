"""Read YAML that an author wrote. Refuses what two readers could understand differently, and what grows when read.

Anchors, aliases, tags, duplicate keys, several documents and deep nesting have no place in a plugin.yaml.
"""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from cloned_devkit.mistakes import Mistake

MAX_BYTES = 256 << 10
MAX_DEPTH = 32


def parse(data: bytes, what: str) -> Any:
    """The one document in `data` (YAML 1.2, UTF-8); `what` names the file. Raises Mistake FILE_SYNTAX."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _syntax(what, f"byte {error.start} is not UTF-8") from error
    try:
        _refuse_features(text, what)
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise _syntax(what, f"{where}{_first_line(error.problem)}") from error
    except (YAMLError, ValueError) as error:
        raise _syntax(what, _first_line(str(error))) from error


def _refuse_features(text: str, what: str) -> None:
    """Before anything is composed: the parser's events come one by one, and none of them recurses."""
    depth = documents = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        where = f"line {event.start_mark.line + 1}" if event.start_mark else "the file"
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            raise _syntax(what, f"{where}: anchors and aliases are not read; write the value out")
        if _tagged(event) or _directed(event):
            raise _syntax(what, f"{where}: tags, merge keys and directives are not read; write a plain value")
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            depth += 1
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            depth -= 1
        documents += isinstance(event, DocumentStartEvent)
        if depth > MAX_DEPTH or documents > 1:
            raise _syntax(what, f"{where}: nested deeper than {MAX_DEPTH} levels, or a second document")


def _tagged(event: Event) -> bool:
    merge = isinstance(event, ScalarEvent) and event.value == "<<"
    return merge or (isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent) and event.tag is not None)


def _directed(event: Event) -> bool:
    return isinstance(event, DocumentStartEvent) and bool(event.version or event.tags)


def _syntax(what: str, detail: str) -> Mistake:
    return Mistake("FILE_SYNTAX", f"{what}: {detail}")


def _first_line(text: str | None) -> str:
    return (text or "it is not YAML").strip().splitlines()[0]
