"""Read YAML that people and plugins write. Refuses whatever a reader could take for something else than it says.

The core schema of YAML 1.2 (section 10.3) without anchors, aliases, tags and directives, and JSON's values alone: so
no alias bomb can be written, a date stays text, and `yes` never means true.
"""

import re
from collections.abc import Iterator
from typing import Any

from cloned_trust.verdict import Refusal

MAX_BYTES = 1 << 18
MAX_DEPTH = 32

_NUMBER = re.compile(
    r"0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_NUMBER_CHARS = 19
_WORDS = dict.fromkeys(("", "~", "null", "Null", "NULL")) | {
    word: flag for flag, words in ((True, "true True TRUE"), (False, "false False FALSE")) for word in words.split()
}
_SURROGATE = re.compile("[\ud800-\udfff]")
_END = object()


def loads(data: bytes, *, what: str, max_bytes: int = MAX_BYTES) -> Any:
    """The value of a YAML document: JSON's types, keys of text, None for an empty one. `what` names it in a refusal.

    Raises Refusal FILE_TOO_LARGE, or FILE_SYNTAX with the line.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 - 95 ms
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415 - with it

    if len(data) > max_bytes:
        raise Refusal("FILE_TOO_LARGE", what, f"{len(data)} bytes; at most {max_bytes} of YAML are read")
    try:
        return _document(YAML(typ="safe", pure=True).parse(data.decode()), what)
    except UnicodeDecodeError as error:
        raise _syntax(what, f"byte {error.start} is not UTF-8") from error
    except MarkedYAMLError as error:
        raise _syntax(what, str(error.problem), error.problem_mark) from error
    except (YAMLError, ValueError, OverflowError) as error:  # a character or an escape that YAML does not have
        raise _syntax(what, str(error).partition("\n")[0]) from error


def _syntax(what: str, problem: str, mark: Any = None) -> Refusal:
    return Refusal("FILE_SYNTAX", what, f"line {mark.line + 1}: {problem}" if mark else problem)


def _document(events: Iterator[Any], what: str) -> Any:
    next(events)  # the stream's start
    start = next(events)
    if type(start).__name__ == "StreamEndEvent":
        return None
    value = _value(events, what, 0)
    next(events)  # the document's end
    if start.version or start.tags or type(next(events)).__name__ != "StreamEndEvent":
        raise _syntax(what, "directives and second documents are not read", start.start_mark)
    return value


def _value(events: Iterator[Any], what: str, depth: int) -> Any:
    """The value that begins with the next event; _END where that ends a list or a mapping."""
    event = next(events)
    kind, mark = type(event).__name__, event.start_mark
    if kind in {"SequenceEndEvent", "MappingEndEvent"}:
        return _END
    if kind == "AliasEvent" or event.anchor or event.tag:
        raise _syntax(what, "anchors, aliases and tags are not read; write the value out", mark)
    if kind == "ScalarEvent":
        if _SURROGATE.search(event.value):
            raise _syntax(what, "text holds half of a surrogate pair", mark)
        return event.value if event.style else _plain(event.value, what, mark)
    if depth == MAX_DEPTH:
        raise _syntax(what, f"nested deeper than {MAX_DEPTH} levels", mark)
    parts = iter(lambda: _value(events, what, depth + 1), _END)
    if kind == "SequenceStartEvent":
        return list(parts)
    mapping: dict[str, Any] = {}
    for key in parts:
        if not isinstance(key, str) or key in mapping:
            fault = "stands twice" if isinstance(key, str) else "is not text; quote it"
            raise _syntax(what, f"the key {str(key)[:80]!r} {fault}", mark)
        mapping[key] = _value(events, what, depth + 1)
    return mapping


def _plain(text: str, what: str, mark: Any) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if not _NUMBER.fullmatch(text):
        return text
    if len(text) > _NUMBER_CHARS or "n" in text.lower():
        raise _syntax(what, f"{text[:_NUMBER_CHARS]} is not a number that JSON has; quote it", mark)
    if text[:2] in {"0o", "0x"}:
        return int(text, 0)
    return int(text) if text.lstrip("+-").isdigit() else float(text)
