"""A command as data, so that `cloned --help` shows a plugin's commands without importing it."""

from typing import Literal

from pydantic import Field

from cloned_schemas.model import DottedId, Line, Name, Strict, Text


class Parameter(Strict):
    """One argument or option, given to the operation under `name`."""

    name: Name
    kind: Literal["argument", "option", "flag", "extra"] = Field(
        default="option", description="extra: every other `--name value` of the command line, as one object"
    )
    type: Literal["text", "integer", "path"] = "text"
    required: bool = False
    multiple: bool = False
    help: Line = Field(default="-")


class Command(Strict):
    """A projection of one operation on the command line."""

    path: list[Name] = Field(min_length=1, max_length=3)
    operation: DottedId
    help: Line
    description: Text = ""
    example: Line
    parameters: list[Parameter] = []
    effect: Literal["read", "write"] = "read"
    columns: list[Name] = Field(default=[], description="for lists: the fields shown as a table, in this order")
