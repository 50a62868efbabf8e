"""Rows of commands turned into click commands. A row says everything; no command has code of its own."""

import gc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

Row = Mapping[str, Any]
_TYPES: Mapping[str, click.ParamType[Any]] = {"text": click.STRING, "integer": click.INT, "path": click.Path()}


def of_plugins(named: str | None) -> list[Row]:
    """The commands that enabled plugins of the workspace at hand contribute, from the index; they are not imported."""
    from cloned.host import index  # noqa: PLC0415 - stdlib only, but not needed to import this module
    from cloned_schemas.errors import ClonedError  # noqa: PLC0415 - as above
    from cloned_storage.layout import UserPlaces, find_workspace  # noqa: PLC0415 - as above

    try:
        places = find_workspace(Path.cwd(), Path(named) if named else None, os.environ)
        found = index.read(index.place(UserPlaces.from_environment(os.environ).state, places.root))
    except ClonedError:
        return []  # the command itself will say what is wrong with the workspace; help must work without one
    return list(found.commands) if found else []


def add(root: click.Group, row: Row) -> None:
    """Hang a command into the tree. A name that is taken stays with whoever had it first."""
    group = root
    for name in row["path"][:-1]:
        inner = group.commands.get(name)
        if inner is None:
            inner = click.Group(name, help=f"{GROUPS.get(name, 'Commands of a plugin')}.")
            group.add_command(inner)
        if not isinstance(inner, click.Group):
            return
        group = inner
    if row["path"][-1] not in group.commands:
        group.add_command(_command(row))


GROUPS = {
    "plugin": "Find, install, enable and verify plugins",
    "trust": "Decide whose signatures count",
    "policy": "Decide what may happen here",
    "approvals": "Decide what waits for a person",
    "vault": "Keep secrets by reference",
    "audit": "Read and verify the record of everything that happened",
    "artifacts": "Read and verify what runs made",
    "runs": "See and steer runs",
    "pipelines": "See what can be run",
}


def _command(row: Row) -> click.Command:
    parameters = row.get("parameters", [])
    extra = next((given["name"] for given in parameters if given["kind"] == "extra"), None)
    settings: dict[str, Any] = {"ignore_unknown_options": True, "allow_extra_args": True} if extra else {}

    @click.pass_context
    def run(context: click.Context, /, as_json: bool, **given: Any) -> None:
        inputs = {name: value for name, value in given.items() if value not in (None, (), False)}
        inputs = {name: list(value) if isinstance(value, tuple) else value for name, value in inputs.items()}
        if extra:
            inputs[extra] = _pairs(context.args)
        _import_kernel()
        from cloned_cli.run import run_command  # noqa: PLC0415 - with it

        run_command(row, inputs, as_json=as_json, workspace=context.find_root().params["workspace"])

    help_text = "\n\n".join(part for part in (row["help"] + ".", row.get("description", "")) if part)
    example = f"\b\nExample:\n  {row['example']}"
    return click.Command(
        row["path"][-1],
        callback=run,
        params=[*(_parameter(given) for given in parameters if given["kind"] != "extra"), _JSON],
        help=f"{help_text}\n\n{example}",
        short_help=row["help"],
        context_settings=settings,
    )


def _import_kernel() -> None:
    """Import what a command needs, when one runs, without what takes time and serves nobody here."""
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"  # looks through every package, to run code that nobody verified
    gc.disable()  # an import makes no garbage; looking for some takes a sixth of its time
    import cloned_cli.run  # noqa: F401, PLC0415 - `--help` imports no kernel

    gc.freeze()
    gc.enable()


_JSON = click.Option(["--json", "as_json"], is_flag=True, help="Print the result as JSON.")


def _parameter(given: Row) -> click.Parameter:
    name = given["name"].replace("-", "_")
    kind = _TYPES[given.get("type", "text")]
    if given["kind"] == "argument":
        nargs = -1 if given.get("multiple") else 1
        return click.Argument([name], type=kind, required=bool(given.get("required")), nargs=nargs)
    if given["kind"] == "flag":
        return click.Option([f"--{given['name']}", name], is_flag=True, help=_sentence(given))
    return click.Option(
        [f"--{given['name']}", name],
        type=kind,
        required=bool(given.get("required")),
        multiple=bool(given.get("multiple")),
        help=_sentence(given),
    )


def _sentence(given: Row) -> str:
    text = str(given.get("help", "")).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def _pairs(arguments: list[str]) -> dict[str, str]:
    """`--name value` and `--name=value` pairs of a command that takes any."""
    found: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        option = rest.pop(0)
        name, equals, value = option.removeprefix("--").partition("=")
        if not option.startswith("--") or not name:
            raise click.UsageError(f"{option!r} is not an option; inputs are given as --name value")
        if not equals:
            if not rest:
                raise click.UsageError(f"--{name} needs a value")
            value = rest.pop(0)
        if name.replace("-", "_") in found:
            raise click.UsageError(f"--{name} is given twice")
        found[name.replace("-", "_")] = value
    return found
