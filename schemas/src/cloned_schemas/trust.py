"""Publishers, their keys, and revocations."""

from typing import Literal

from pydantic import Field

from cloned_schemas.model import Line, Name, PublisherId, Sha256, Strict

Tier = Literal["none", "domain", "organisation"]


class PublisherKey(Strict):
    """A publisher's Ed25519 key. `keyid` is the SHA-256 of the 32 raw bytes and is recomputed, never believed."""

    keyid: Sha256
    public: str = Field(pattern=r"^[A-Za-z0-9+/]{43}=$", description="32 raw bytes, standard base64")
    valid_from_seq: int = Field(default=0, ge=0)
    valid_to_seq: int | None = Field(default=None, ge=0)


class Publisher(Strict):
    """publishers/<id>.json: whom a person (or a marketplace) trusts to sign which namespaces."""

    schema_version: Literal[1] = 1
    publisher_id: PublisherId
    name: Line
    url: Line | None = None
    keys: list[PublisherKey] = Field(min_length=1)
    threshold: int = Field(default=1, ge=1)
    namespaces: list[Name] = Field(min_length=1)
    executions: list[Literal["data", "worker", "kernel"]] = Field(
        default=["data", "worker"], description="kernel: may run code in Cloned's own process"
    )
    verification: Tier = "none"
    billing: Literal["none", "paid"] = "none"
    state: Literal["active", "suspended"] = "active"


class Revocation(Strict):
    """One thing that is no longer trusted."""

    scope: Literal["publisher", "key", "release", "file-sha256"]
    id: Line = Field(description="publisher id, key id, wheel digest or file digest")
    reason: Literal["malicious", "compromised", "vulnerable", "yanked", "licence"]
    action: Literal["kill", "block-load", "block-install", "warn"]
    releases_still_good: list[Sha256] = []


class WorkspaceTrust(Strict):
    """.cloned/trust/trust.yaml: what this workspace trusts less than its user does. It can only narrow."""

    schema_version: Literal[1] = 1
    only_publishers: list[PublisherId] | None = Field(default=None, description="none: every publisher the user trusts")
    revocations: list[Revocation] = []


class Revocations(Strict):
    """revocations.json. Lists are joined; denial wins."""

    schema_version: Literal[1] = 1
    seq: int = Field(default=0, ge=0)
    entries: list[Revocation] = []
