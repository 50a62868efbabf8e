"""The command `cloned`: its commands are data (`commands.json`, the index of enabled plugins), built with click alone.

What a command does is imported when it runs; `cloned --help` imports neither the kernel nor any plugin.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from cloned_cli import commands

_COLUMNS = (80, 100)  # where nobody says how many there are, and at most
EPILOG = "Start with 'cloned init --type personal', or see what is wrong with 'cloned doctor'."


def build(workspace: str | None) -> click.Group:
    """The whole command tree: what is built in, and what the plugins of the workspace at hand contribute."""
    root = click.Group(
        "cloned",
        help="A governed home for AI agents: every action passes one monitor; nothing runs that no person granted.",
        epilog=EPILOG,
        params=[
            click.Option(
                ["--workspace"], type=click.Path(), help="The workspace's folder; the nearest one if left out."
            )
        ],
        context_settings={"help_option_names": ["-h", "--help"], "terminal_width": _width()},
    )
    built_in = json.loads(Path(__file__).with_name("commands.json").read_bytes())
    for row in [*built_in, *commands.of_plugins(workspace)]:
        commands.add(root, row)
    return root


def main(arguments: list[str] | None = None) -> Any:
    """Run `cloned`. Ends the process with the exit codes of the contracts."""
    try:
        _refuse_nowhere()
        given = sys.argv[1:] if arguments is None else arguments
        return build(_named(given)).main(args=given, prog_name="cloned")
    except BrokenPipeError:  # the reader of our output went away, e.g. `| head`
        sys.stderr.close()
        sys.exit(0)


def _refuse_nowhere() -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        click.echo("error USAGE: the folder that you are in was removed\n  → change to one that is there", err=True)
        sys.exit(2)


def _width() -> int:
    """The columns that help may fill. Click would load every archive format of Python to find this out."""
    given = os.environ.get("COLUMNS", "")
    try:
        columns = int(given) if given.isdigit() else os.get_terminal_size().columns
    except OSError:  # no terminal
        columns = _COLUMNS[0]
    return max(min(columns, _COLUMNS[1]) - 2, 50)


def _named(arguments: list[str]) -> str | None:
    """The workspace that the command line names: it decides which plugins' commands there are, so it is read first."""
    for position, word in enumerate(arguments):
        if not word.startswith("-"):
            return None
        if word == "--workspace":
            return arguments[position + 1] if position + 1 < len(arguments) else None
        if word.startswith("--workspace="):
            return word.partition("=")[2]
    return None


if __name__ == "__main__":
    main()
