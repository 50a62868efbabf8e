"""What a person or a script sees: answers as tables or lines, errors with their repair. Colour on a terminal only."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import click
import msgspec

from cloned_cli.terminal import clean
from cloned_schemas.errors import ClonedError

Json = Any
_MOST_LINES = 60
ONE_LINE = 90


def answer(output: Json, row: Mapping[str, Any], *, as_json: bool) -> None:
    """Print an operation's output: as JSON, as a table where the command names columns, else as lines."""
    if as_json:
        click.echo(_json(output))
        return
    columns = row.get("columns", [])
    lists = [value for value in output.values() if isinstance(value, list)] if columns else []
    if not lists:
        click.echo("\n".join(_lines(output)))
        return
    if lists[0]:
        _table(lists[0], columns)
    else:
        click.echo("nothing to show")
    rest = {name: value for name, value in output.items() if value is not lists[0]}
    if rest:
        click.echo("\n".join(_lines(rest)))


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    from rich import box  # noqa: PLC0415 - 60 ms that only tables pay
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    used = [name for name in columns if any(row.get(name) not in (None, "", []) for row in rows)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in used:
        table.add_column(name.replace("_", " "), overflow="fold", no_wrap=name in {"id", "run_id", "seq", "state"})
    for row in rows:
        cells = [(_in_table(row.get(name)), _STYLES.get(str(row.get(name)), "")) for name in used]
        table.add_row(*(Text(text, style=style) for text, style in cells))
    Console(soft_wrap=False, highlight=False).print(table)


_STYLES = {
    "enabled": "green", "ok": "green", "success": "green", "verified": "green", "approved": "green",
    "refused": "bold red", "problem": "bold red", "blocked": "red", "failure": "red", "denied": "red",
    "warning": "yellow", "notice": "yellow", "pending": "yellow", "approval_required": "yellow", "ambiguous": "yellow",
}  # fmt: skip


_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-([0-9a-f]{12})")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z")


def _in_table(value: Json) -> str:
    """A value as a table has room for it: the end of a UUID, which every command takes for the whole, and seconds."""
    text = _cell(value)
    if (found := _UUID.fullmatch(text)) is not None:
        return found[1]
    return f"{found[1]} {found[2]}" if (found := _MOMENT.fullmatch(text)) is not None else text


def _cell(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(_cell(part) for part in value)
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    return clean(str(value))


def _lines(value: Json, indent: str = "") -> list[str]:
    if isinstance(value, dict):
        width = max((len(name) for name in value), default=0)
        return [line for name, part in value.items() for line in _field(name, part, width, indent)]
    if isinstance(value, list):
        return [line for part in value for line in _item(part, indent)]
    return [indent + clean(text) for text in str(value).splitlines() or [""]]


def _field(name: str, value: Json, width: int, indent: str) -> list[str]:
    label = clean(name.replace("_", " "))
    if isinstance(value, dict | list) and value and not _is_plain(value):
        return [f"{indent}{label}:", *_lines(value, indent + "  ")]
    if isinstance(value, str) and "\n" in value:
        return [f"{indent}{label}:", *_lines(value, indent + "  ")]
    shown = "-" if value in (None, "", [], {}) else _cell(value)
    return [f"{indent}{label:<{width}}  {shown}"]


def _item(value: Json, indent: str) -> list[str]:
    inner = _lines(value, indent + "  ")
    first = inner[0][len(indent) + 2 :] if inner else ""
    return [f"{indent}- {first}", *inner[1:]]


def _is_plain(value: Json) -> bool:
    """Whether a list reads well on one line: few short values."""
    if not isinstance(value, list) or any(isinstance(part, dict | list) for part in value):
        return False
    return sum(len(str(part)) for part in value) <= ONE_LINE


def error(failed: ClonedError, *, as_json: bool) -> None:
    """Print the fact, then the step that mends it."""
    if as_json:
        told = {
            "id": failed.id, "family": failed.spec.family, "message": failed.fact, "repair": failed.repair,
            "details": failed.details,
        }  # fmt: skip
        click.echo(_json({"error": told}))
        return
    waiting = failed.spec.family == "approval_required"
    head = click.style("waiting" if waiting else "error", fg="yellow" if waiting else "red", bold=True)
    click.echo(f"{head} {failed.id}: {clean(failed.fact)}", err=True)
    for line in [line for changed in failed.details.get("differences", []) for line in changed["lines"]][:_MOST_LINES]:
        click.echo(f"    {clean(str(line))}", err=True)
    click.echo(f"  {click.style('→', bold=True)} {clean(failed.repair)}", err=True)


def _json(value: Json) -> str:
    """JSON in ASCII: it may end on a terminal, and what other people wrote must not steer that."""
    return json.dumps(value, indent=2, default=str)


def progress(text: str) -> None:
    """One line about long work, beside the answer."""
    click.echo(click.style(f"  {clean(text)}", dim=True), err=True)


def warning(text: str) -> None:
    """One line that a person should not miss."""
    click.echo(f"{click.style('warning', fg='yellow', bold=True)} {clean(text)}", err=True)
