"""registry.yaml: what people decide about plugins. plugins.lock.json: what was resolved from it."""

from typing import Literal

from pydantic import Field

from cloned_schemas.model import (
    DottedId,
    HostPattern,
    JsonObject,
    Name,
    PluginId,
    PublisherId,
    SecretRef,
    Sha256,
    Strict,
    Version,
)


class Grants(Strict):
    """What a person lends a plugin, beyond which it has nothing. Folders by name; their places are machine-local."""

    hosts: list[HostPattern] = []
    secrets: dict[Name, SecretRef] = {}
    capabilities: list[DottedId] = []
    folders: list[Name] = []


class RegistryEntry(Strict):
    """A plugin as its owner wants it."""

    id: PluginId
    version: str = Field(default="*", max_length=60, description="a version or a PEP 440 range")
    enabled: bool = False
    grants: Grants = Grants()
    settings: JsonObject = {}


class Registry(Strict):
    """registry.yaml."""

    schema_version: Literal[1] = 1
    plugins: list[RegistryEntry] = []


class LockEntry(Strict):
    """A plugin as it was resolved and accepted."""

    id: PluginId
    version: Version
    publisher_id: PublisherId
    keyid: Sha256
    wheel: str = Field(max_length=200)
    wheel_sha256: Sha256
    manifest_sha256: Sha256
    tools: dict[str, Sha256] = Field(default={}, description="tool id to digest of its wire description")
    grants: Grants = Grants()


class Lock(Strict):
    """plugins.lock.json."""

    schema_version: Literal[1] = 1
    plugins: list[LockEntry] = []
