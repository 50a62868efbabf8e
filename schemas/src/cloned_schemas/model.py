"""What every contract is made of: the two kinds of model and the types that several contracts share."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints

JsonObject = dict[str, Any]
"""A JSON object whose shape another schema (a tool's, a plugin's settings) decides."""

PluginId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)+$", max_length=100)]
"""A distribution's name in normal form; its first label is the publisher's namespace."""

Version = Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+((a|b|rc)\d+)?(\.(post|dev)\d+)?$", max_length=40)]
ToolId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+(\.[a-z0-9_-]+)+@v[1-9]\d{0,3}$", max_length=160)]
ToolPattern = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9-]+(\.[a-z0-9_-]+)*(\.\*|@v[1-9]\d{0,3})$", max_length=160)
]
"""A tool id, or `<namespace>.<path>.*` for everything below a path."""

DottedId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]+(\.[a-z0-9_-]+)*$", max_length=160)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", max_length=60)]
PublisherId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
HostPattern = Annotated[str, StringConstraints(pattern=r"^(\*\.)?[A-Za-z0-9.:\[\]_-]+$", max_length=255)]
Timestamp = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")]
"""UTC, RFC 3339, always with `Z`."""

SecretRef = Annotated[str, StringConstraints(pattern=r"^vault:[a-z0-9_-]+(\.[a-z0-9_-]+)*$", max_length=200)]
RelativePath = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_+-][A-Za-z0-9_.+-]*(/[A-Za-z0-9_+-][A-Za-z0-9_.+-]*)*$", max_length=400),
]
"""Below a root: no segment starts with a dot, none is empty."""

Line = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]+$")]
Text = Annotated[str, StringConstraints(max_length=4000)]


class Strict(BaseModel):
    """A file that a person or a publisher writes: an unknown field is an error."""

    # Each model is built when it is first used: a command uses a few of them, and all together take 50 ms.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class Kept(BaseModel):
    """A message between versions: unknown fields are kept."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, defer_build=True)
