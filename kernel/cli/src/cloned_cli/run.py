"""Run one command: open what it is about, carry its operation out, show the answer, end with the right exit code."""

import os
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from cloned_cli import show, waiting
from cloned_cli.terminal import TerminalOperator, read_secret
from cloned_operations.context import Context
from cloned_schemas.errors import ClonedError, UserMistake
from cloned_storage.layout import UserPlaces


def run_command(row: Mapping[str, Any], inputs: dict[str, Any], *, as_json: bool, workspace: str | None) -> None:
    """Carry out the operation that a command projects. Exits with the error's code where it fails."""
    try:
        context = _context(workspace)
        try:
            stay = sys.stdin.isatty() and sys.stdout.isatty() and not as_json and not inputs.get("no_wait")
            output = msgspec.to_builtins(waiting.carry_out(row, inputs, context, stay=stay))
            _warn(context, row)
        except UserMistake:
            _tell_refused(context)
            raise
        finally:
            context.close()
    except ClonedError as error:
        show.error(error, as_json=as_json)
        sys.exit(error.spec.exit_code)
    show.answer(output, row, as_json=as_json)


def _context(workspace: str | None) -> Context:
    return Context(
        actor=f"person:{_user()}",
        operator=TerminalOperator(),
        user=UserPlaces.from_environment(os.environ),
        start=Path.cwd(),
        secret=read_secret,
        env=os.environ,
        named=Path(workspace) if workspace else None,
        say=show.progress,
    )


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user often has no name
        return f"uid-{os.getuid()}"


def _tell_refused(context: Context) -> None:
    """What a command could not find may belong to a plugin that is refused; a person should not have to guess so."""
    for verdict in context.workspace.verdicts() if context.opened else ():
        if verdict.state == "refused":
            show.warning(f"{verdict.plugin_id} is refused ({verdict.error_id}); nothing of it can be found")


def _warn(context: Context, row: Mapping[str, Any]) -> None:
    """Reading goes on where files differ from what a person accepted, but not without a word."""
    if row["effect"] == "read" and context.opened and (difference := context.workspace.accepted.difference()):
        names = ", ".join(changed.file for changed in difference)
        show.warning(f"not as accepted: {names}; nothing runs until 'cloned plugin sync' accepts them")
