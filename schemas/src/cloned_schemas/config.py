"""config.yaml of a workspace."""

from typing import Literal

from pydantic import Field

from cloned_schemas.model import JsonObject, Line, Name, Sha256, Strict

WorkspaceType = Literal["personal", "shared", "enterprise"]


class Vault(Strict):
    """Which vault provider answers for this workspace."""

    provider: Name = "file"
    config: JsonObject = {}


class Runtime(Strict):
    """How runs and workers are started."""

    default_dry_run: bool = False
    backends: list[Name] = ["tmux", "resume-spawn"]
    sandbox: Literal["auto", "sandbox", "strong"] = "auto"


class Server(Strict):
    """Where `cloned serve` listens."""

    bind: str = "127.0.0.1"
    port: int = Field(default=7800, ge=1, le=65535)
    trusted_proxies: list[str] = []


class AuthRateLimit(Strict):
    """Bad attempts an address may make before it is locked out."""

    tries: int = Field(default=10, ge=1)
    window_seconds: int = Field(default=60, ge=1)
    lockout_seconds: int = Field(default=300, ge=1)


class Security(Strict):
    """How surfaces let somebody in."""

    require_device_pairing: bool = True
    auth_rate_limit: AuthRateLimit = AuthRateLimit()


class Auth(Strict):
    """An outside issuer of tokens; none of the three means the workspace issues them."""

    issuer: str | None = None
    audience: str | None = None
    jwks_url: str | None = None


class Ui(Strict):
    """What browsers may talk to the console."""

    allowed_origins: list[str] = []


class Network(Strict):
    """How the broker reaches the network."""

    egress_proxy: str | None = None
    ca_bundle: str | None = None
    no_proxy: list[str] = []


class Audit(Strict):
    """When the audit is rotated and its checkpoints are signed."""

    rotate_bytes: int = Field(default=64_000_000, ge=100_000)
    rotate_every: Literal["day", "week", "month", "never"] = "month"
    keep: Literal["for-ever"] = "for-ever"
    checkpoint_entries: int = Field(default=1000, ge=1)
    checkpoint_seconds: int = Field(default=3600, ge=60)


class Catalog(Strict):
    """A marketplace and the namespaces it alone answers for."""

    name: Name
    url: str
    root_sha256: Sha256
    namespaces: list[Name] = Field(min_length=1)


class WorkspaceConfig(Strict):
    """config.yaml. Every field but the first three has the default shown."""

    schema_version: Literal[1] = 1
    workspace_id: str = Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
    name: Line
    type: WorkspaceType
    policy_pack_ref: str | None = Field(
        default=None, pattern=r"^[a-z0-9-]+:[a-z0-9_.-]+$", description="<plugin id>:<pack id>; none means the floor"
    )
    vault: Vault = Vault()
    runtime: Runtime = Runtime()
    server: Server = Server()
    security: Security = Security()
    auth: Auth = Auth()
    ui: Ui = Ui()
    network: Network = Network()
    audit: Audit = Audit()
    catalogs: list[Catalog] = []
    database_url: str | None = Field(default=None, description="default: SQLite in .cloned/state.db")
    exporters: list[JsonObject] = []
