"""YAML text to plain JSON values. Refuses what could surprise or exhaust: aliases, tags, duplicate keys, depth, size.

Aliases are refused outright, so a text can never mean more than it shows ("billion laughs").
"""

import math
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.reader import ReaderError

from cloned_sdk.host import Refused

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_NODES = 20_000
INT_LIMIT = 2**63


def parse(data: bytes, what: str) -> Any:
    """The JSON value that a YAML 1.2 (or JSON) text stands for.

    Raises Refused FILE_TOO_LARGE over 256 KiB, FILE_SYNTAX for anything that is not one plain document. A message
    names the line and never quotes the text.
    """
    if len(data) > MAX_BYTES:
        raise Refused("FILE_TOO_LARGE", f"{what} has {len(data)} bytes; at most {MAX_BYTES}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("FILE_SYNTAX", f"{what} is not UTF-8 at byte {error.start}") from error
    try:
        _look_over(text, what)
        value = YAML(typ="safe", pure=True).load(text)
    except ReaderError as error:
        raise Refused("FILE_SYNTAX", f"{what} holds a character that YAML does not have") from error
    except (YAMLError, ValueError) as error:
        raise Refused("FILE_SYNTAX", f"{what} is not valid YAML{_line(error)}") from error
    _plain(value, what)
    return value


def _look_over(text: str, what: str) -> None:
    """Walk the events, which costs no stack and builds nothing, before anything is constructed."""
    depth = nodes = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        place = f"line {event.start_mark.line + 1} of {what}"
        if (fault := _fault(event)) is not None:
            raise Refused("FILE_SYNTAX", f"{place} {fault}")
        nodes += isinstance(event, NodeEvent)
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            raise Refused("FILE_SYNTAX", f"{place} is nested deeper than {MAX_DEPTH} or goes over {MAX_NODES} values")


def _fault(event: Event) -> str | None:
    if isinstance(event, DocumentStartEvent):
        # `%YAML 1.1` would give `yes` and `1:30` another meaning.
        return "uses a directive; plain YAML 1.2 alone is read" if event.version or event.tags else None
    if not isinstance(event, NodeEvent):
        return None
    if isinstance(event, AliasEvent) or event.anchor is not None:
        return "uses an anchor or alias; write the value out"
    return (
        "uses a tag; plain values alone are read"
        if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag
        else None
    )


def _plain(value: Any, what: str) -> None:
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                raise Refused("FILE_SYNTAX", f"{what} has the key {key!r}, which is not text; put it in quotes")
            _plain(part, what)
    elif isinstance(value, list):
        for part in value:
            _plain(part, what)
    elif isinstance(value, int) and abs(value) >= INT_LIMIT:
        raise Refused("FILE_SYNTAX", f"{what} has a number of more than 63 bits")
    elif isinstance(value, float) and not math.isfinite(value):
        raise Refused("FILE_SYNTAX", f"{what} has a number that JSON does not have (infinite, or none)")
    elif value is not None and not isinstance(value, str | int | float):
        raise Refused("FILE_SYNTAX", f"{what} has a {type(value).__name__} where JSON has none; put it in quotes")


def _line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f" at line {mark.line + 1}" if mark is not None else ""
