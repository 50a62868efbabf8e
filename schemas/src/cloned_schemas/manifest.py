"""package.manifest.json: everything a person must know about a plugin before agreeing, read without importing it."""

from typing import Literal

from pydantic import Field, model_validator

from cloned_schemas.command import Command
from cloned_schemas.model import (
    DottedId,
    JsonObject,
    Line,
    Name,
    PluginId,
    PublisherId,
    RelativePath,
    Sha256,
    Strict,
    Text,
    Version,
)
from cloned_schemas.tool import EgressTarget, Tool

Execution = Literal["data", "worker", "kernel"]
Isolation = Literal["data", "in_process", "sandbox", "sandbox_socket", "degraded", "strong"]


class SecretNeed(Strict):
    """A secret that the plugin asks for by name; a person grants a vault reference for it."""

    name: Name
    secret_class: Name
    why: Line


class FolderNeed(Strict):
    """A folder that the plugin asks for by name; a person grants a place on this machine for it.

    `many`: a person may lend any number of folders, under names of their own.
    """

    name: Name
    why: Line
    many: bool = False


class Contribution(Strict):
    """A file of the wheel that the plugin contributes under an id."""

    id: DottedId
    path: RelativePath
    summary: Line


class Contributes(Strict):
    """What the plugin adds to the extension points; the host needs no import to know it."""

    connectors: list[Name] = []
    skill_packs: list[Contribution] = []
    policy_packs: list[Contribution] = []
    vault_providers: list[Name] = []
    operations: list[DottedId] = []
    commands: list[Command] = []
    checks: list[DottedId] = []
    migrations: bool = Field(default=False, description="the plugin owns tables; it implements cloned_migrations")


class DependencyWheel(Strict):
    """A third-party library of a worker, named by digest."""

    filename: RelativePath
    sha256: Sha256


class FileEntry(Strict):
    """A member of the wheel."""

    path: RelativePath
    size: int = Field(ge=0)
    sha256: Sha256


class Manifest(Strict):
    """A release of a plugin. Signed by digest; `files` names every member but RECORD and the manifest itself."""

    schema_version: Literal[1] = 1
    id: PluginId
    version: Version
    publisher_id: PublisherId
    summary: Line
    description: Text = ""
    homepage: Line | None = None
    license: Line
    execution: Execution
    isolation: Isolation
    entry: str | None = Field(default=None, pattern=r"^python:[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*:[a-zA-Z_]\w*$")
    kernel_api: int = Field(default=1, ge=1)
    tools: list[Tool] = []
    capabilities_provided: list[DottedId] = []
    capabilities_required: list[DottedId] = []
    egress: list[EgressTarget] = []
    secrets: list[SecretNeed] = []
    folders: list[FolderNeed] = []
    settings_schema: JsonObject | None = None
    manual_steps: list[Line] = []
    contributes: Contributes = Contributes()
    dependencies: list[DependencyWheel] = []
    host_requires: list[Line] = []
    files: list[FileEntry]

    @model_validator(mode="after")
    def _holds_together(self) -> "Manifest":
        wanted = {"data": {"data"}, "kernel": {"in_process"}, "worker": {"sandbox", "sandbox_socket", "strong"}}
        if self.isolation not in wanted[self.execution]:
            raise ValueError(f"execution {self.execution} cannot run with isolation {self.isolation}")
        if (self.entry is None) != (self.execution == "data"):
            raise ValueError("a worker or kernel plugin names its entry, a data plugin has none")
        if self.execution == "data" and self.tools:
            raise ValueError("a data plugin has no tools")
        if self.host_requires and self.execution != "kernel":
            raise ValueError("only kernel plugins use libraries of the host; a worker names dependency wheels")
        if len({tool.id for tool in self.tools}) != len(self.tools):
            raise ValueError("a tool id stands twice")
        if len({entry.path for entry in self.files}) != len(self.files):
            raise ValueError("a file stands twice")
        return self
