"""The filters and tests that expressions may use: pure, on plain JSON values, none able to grow its input much.

What is not here does not exist in an expression. A filter answers with a new value of bounded size or raises
TypeError or ValueError, which `expressions.py` turns into the step's error.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import StrictUndefined

MAX_TEXT = 1_000_000
MAX_ITEMS = 100_000


class Missing(StrictUndefined):
    """A name that stands for nothing. Any use but `is defined` and `default` is an error."""

    __slots__ = ()

    def told(self) -> str:
        """What is missing, for a message."""
        return self._undefined_message


def dig(value: Any, key: Any) -> Any:
    """One step into a JSON value; never a Python attribute. `Missing` where there is nothing."""
    if isinstance(value, Missing):
        return value
    if isinstance(value, dict) and isinstance(key, str) and key in value:
        return value[key]
    if isinstance(value, list | str) and type(key) is int and -len(value) <= key < len(value):
        return value[key]
    return Missing(hint=f"there is no {key!r} in what it was asked of")


def _at(value: Any, path: str | None) -> Any:
    for part in path.split(".") if path else ():
        value = dig(value, part)
    return value


def _known(value: Any) -> Any:
    if isinstance(value, Missing):
        raise TypeError(value.told())
    return value


def _items(value: Any) -> list[Any]:
    if not isinstance(_known(value), list):
        raise TypeError(f"a list is needed here, not {type(value).__name__}")
    return list(value)


def _text(value: Any) -> str:
    if not isinstance(_known(value), str):
        raise TypeError(f"text is needed here, not {type(value).__name__}")
    return str(value)


def as_text(value: Any) -> str:
    """Text of a text, a number or a truth value. Raises TypeError for anything else: nothing is guessed."""
    if isinstance(_known(value), bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError(f"{'null' if value is None else type(value).__name__} cannot stand in the middle of a text")


def concatenated(parts: list[str], separator: str = "") -> str:
    """The parts as one text. Raises ValueError over MAX_TEXT characters, before it is built."""
    if sum(map(len, parts)) + len(separator) * max(len(parts) - 1, 0) > MAX_TEXT:
        raise ValueError(f"the text would have more than {MAX_TEXT} characters")
    return separator.join(parts)


def _default(value: Any, other: Any = "", boolean: bool = False) -> Any:
    return other if isinstance(value, Missing) or (boolean and not value) else value


def _length(value: Any) -> int:
    if not isinstance(_known(value), str | list | dict):
        raise TypeError(f"{type(value).__name__} has no length")
    return len(value)


def _join(value: Any, separator: str = "", attribute: str | None = None) -> str:
    return concatenated([as_text(_at(item, attribute)) for item in _items(value)], _text(separator))


def _replace(value: Any, old: str, new: str) -> str:
    text, old, new = _text(value), _text(old), _text(new)
    if not old:
        raise ValueError("nothing cannot be replaced")
    if len(text) + text.count(old) * (len(new) - len(old)) > MAX_TEXT:
        raise ValueError(f"the text would have more than {MAX_TEXT} characters")
    return text.replace(old, new)


def _split(value: Any, separator: str) -> list[str]:
    return _text(value).split(_text(separator), MAX_ITEMS - 1)


def _slug(value: Any) -> str:
    return re.sub(r"[^a-z0-9]+", "-", _text(value)[:200].lower()).strip("-")[:80] or "untitled"


def _int(value: Any) -> int:
    return int(_known(value))


def _round(value: Any, digits: int = 0) -> int | float:
    if digits not in range(11):
        # round(5, -10**9) would first compute ten to that power.
        raise ValueError("a number is rounded to 0 to 10 digits")
    number: int | float = _known(value)
    return round(number, digits) if digits else round(number)


def _sort(value: Any, reverse: bool = False, attribute: str | None = None) -> list[Any]:
    return sorted(_items(value), key=lambda item: _known(_at(item, attribute)), reverse=reverse)


def _unique(value: Any, attribute: str | None = None) -> list[Any]:
    first: dict[str, Any] = {}
    for item in _items(value):
        first.setdefault(_tojson(_at(item, attribute)), item)
    return list(first.values())


def _map(value: Any, *, attribute: str, default: Any = None) -> list[Any]:
    found = [_at(item, attribute) for item in _items(value)]
    return [_known(item) if default is None else _default(item, default) for item in found]


def _flatten(value: Any) -> list[Any]:
    parts = [_items(item) for item in _items(value)]
    if sum(map(len, parts)) > MAX_ITEMS:
        raise ValueError(f"the list would have more than {MAX_ITEMS} items")
    return [item for part in parts for item in part]


def _sum(value: Any, attribute: str | None = None) -> int | float:
    numbers: list[int | float] = [_known(_at(item, attribute)) for item in _items(value)]
    return sum(numbers)


def _tojson(value: Any) -> str:
    return json.dumps(_known(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _keys(value: Any) -> list[str]:
    if not isinstance(_known(value), dict):
        raise TypeError(f"{type(value).__name__} has no keys")
    return sorted(value)


def _first(value: Any) -> Any:
    return dig(_known(value), 0)


def _last(value: Any) -> Any:
    return dig(_known(value), -1)


def _chosen(wanted: bool) -> Callable[..., list[Any]]:
    def choose(value: Any, attribute: str | None = None, test: str | None = None, *args: Any) -> list[Any]:
        check = _truth if test is None else TESTS[test]
        return [item for item in _items(value) if bool(check(_at(item, attribute), *args)) is wanted]

    return choose


def _truth(value: Any) -> bool:
    return not isinstance(value, Missing) and bool(value)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "abs": lambda value: abs(_known(value)),
    "count": _length,
    "default": _default,
    "first": _first,
    "flatten": _flatten,
    "int": _int,
    "join": _join,
    "keys": _keys,
    "last": _last,
    "length": _length,
    "list": _items,
    "lower": lambda value: _text(value).lower(),
    "map": _map,
    "max": lambda value: max(_items(value)),
    "min": lambda value: min(_items(value)),
    "reject": _chosen(wanted=False),
    "rejectattr": _chosen(wanted=False),
    "replace": _replace,
    "reverse": lambda value: _items(value)[::-1],
    "round": _round,
    "select": _chosen(wanted=True),
    "selectattr": _chosen(wanted=True),
    "slug": _slug,
    "sort": _sort,
    "split": _split,
    "string": as_text,
    "sum": _sum,
    "tojson": _tojson,
    "trim": lambda value: _text(value).strip(),
    "truncate": lambda value, length: _text(value)[: int(length)],
    "unique": _unique,
    "upper": lambda value: _text(value).upper(),
}

TESTS: Mapping[str, Callable[..., bool]] = {
    "defined": lambda value: not isinstance(value, Missing),
    "undefined": lambda value: isinstance(value, Missing),
    "none": lambda value: value is None,
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "mapping": lambda value: isinstance(value, dict),
    "sequence": lambda value: isinstance(value, list),
    "equalto": lambda value, other: bool(_known(value) == _known(other)),
    "eq": lambda value, other: bool(_known(value) == _known(other)),
    "ne": lambda value, other: bool(_known(value) != _known(other)),
    "in": lambda value, place: _known(value) in place,
}
