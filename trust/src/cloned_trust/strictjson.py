r"""Read JSON that somebody signed or wants trusted. Refuses everything that two readers could understand differently.

The usual decoders accept duplicate keys (last wins), and `json` also NaN, a byte order mark and lone surrogates, so
that a checker and a user of one document may see two documents.
"""

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from cloned_trust.verdict import Refusal

MAX_BYTES = 1 << 20
MAX_DEPTH = 32

# What matters for depth: a bracket, or a whole string (to its end or the text's, so that scanning stays linear).
_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD]")
_INT_DIGITS = 19
_FLOAT_CHARS = 40


def loads(data: bytes, *, what: str, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """The JSON value (RFC 8259) in `data`, UTF-8 without byte order mark; `what` names the document in a refusal.

    Raises Refusal: JSON_SIZE, JSON_TEXT, JSON_DEPTH, JSON_DUPLICATE_KEY, JSON_NUMBER (NaN, infinities, integers of
    more than 19 digits) or JSON_INVALID.
    """
    if len(data) > max_bytes:
        raise Refusal("JSON_SIZE", what, f"{len(data)} bytes, at most {max_bytes} are read")
    text = _text(data, what)
    _refuse_depth(text, what, max_depth)
    try:
        value = json.loads(
            text,
            object_pairs_hook=lambda pairs: _object(pairs, what),
            parse_constant=lambda name: _number(what, name),
            parse_int=lambda digits: _integer(digits, what),
            parse_float=lambda digits: _float(digits, what),
        )
    except json.JSONDecodeError as error:
        raise Refusal("JSON_INVALID", what, f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    if _SURROGATE_ESCAPE.search(text):
        _refuse_lone_surrogates(value, what)
    return value


def _text(data: bytes, what: str) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal("JSON_TEXT", what, f"byte {error.start} is not UTF-8") from error
    if text.startswith("\ufeff"):
        raise Refusal("JSON_TEXT", what, "it begins with a byte order mark")
    return text


def _refuse_depth(text: str, what: str, max_depth: int) -> None:
    """Before the parser recurses. On valid JSON this is exact; on other input the parser fails at the same place."""
    depth = 0
    for match in _BRACKETS.finditer(text):
        found = match[0]
        if found in "[{":
            depth += 1
            if depth > max_depth:
                raise Refusal("JSON_DEPTH", what, f"nested deeper than {max_depth} levels")
        elif found in "]}":
            depth -= 1


def _object(pairs: Iterable[tuple[str, Any]], what: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise Refusal("JSON_DUPLICATE_KEY", what, f"the key {key[:80]!r} stands twice in one object")
        result[key] = value
    return result


def _integer(digits: str, what: str) -> int:
    if len(digits.lstrip("-")) > _INT_DIGITS:
        _number(what, f"{digits[:_INT_DIGITS]}...")
    return int(digits)


def _float(digits: str, what: str) -> float:
    value = float(digits) if len(digits) <= _FLOAT_CHARS else math.inf
    if math.isinf(value):
        _number(what, digits[:_FLOAT_CHARS])
    return value


def _number(what: str, digits: str) -> NoReturn:
    raise Refusal("JSON_NUMBER", what, f"{digits} is not a number that every reader understands alike")


def _refuse_lone_surrogates(value: Any, what: str) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise Refusal("JSON_TEXT", what, "a string holds half of a surrogate pair") from error
