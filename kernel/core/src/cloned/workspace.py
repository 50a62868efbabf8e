"""One open workspace: its parts put together, the changes that people make to it, and its orderly end."""

import fcntl
import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import sqlalchemy as sa

from cloned.host import index
from cloned.host.lent import LentHost
from cloned.host.plugins import PluginHost, PluginVerdict, VerifiedPlugin
from cloned.monitor import approvals, artifacts
from cloned.monitor.approvals import Approval
from cloned.monitor.authority import AuthoritySource, inputs_of, offer, worker_spec
from cloned.monitor.call import Monitor
from cloned.monitor.dispatch import Dispatcher
from cloned.monitor.ledger import Ledger, finish_process
from cloned.monitor.recovery import Recovered, process_lock, recover
from cloned_schemas.config import WorkspaceConfig
from cloned_schemas.errors import ClonedError, TrustRefused, Unavailable, UserMistake
from cloned_sdk.host import Check, CheckFinding, Operation, PolicyPackSource, SkillPackSource, VaultProvider
from cloned_storage import migrations, standing, tables
from cloned_storage.accepted import AcceptedStore, Proposed
from cloned_storage.audit import AuditLog
from cloned_storage.clock import Clock, SystemClock, uuid7
from cloned_storage.database import Database, sqlite_url
from cloned_storage.files import dump_yaml, locked, parse_yaml, printable, read_bytes, validate, write_atomic
from cloned_storage.layout import Places, UserPlaces, private_folder
from cloned_storage.redaction import Redactor, kept_salt
from cloned_storage.standing import Standing
from cloned_storage.store import Store
from cloned_workers.pool import WorkerPool

Found = TypeVar("Found")
_MADE_HERE = ("state.db", "state.db-wal", "state.db-shm", "state.db-journal", "audit.log")
_CONFIG = b"# This workspace. Every setting has a default; 'cloned plugin sync' accepts what you change here.\n"
_REGISTRY = (
    b"# What people decide about plugins. 'cloned plugin' writes it; 'cloned plugin sync' accepts your own changes.\n"
)


class Workspace:
    """Everything that a surface needs of one workspace. Open it once per process; every method is thread-safe.

    Public parts: `places`, `user`, `clock`, `config`, `database`, `audit`, `accepted`, `store`, `plugins`, `workers`,
    `redactor`, `authority`, `monitor`, and `recovered`: what a killed process had left behind.
    """

    def __init__(self, places: Places, user: UserPlaces, clock: Clock) -> None:
        self.places, self.user, self.clock = places, user, clock
        self.config = standing.config(places)
        self._salt = kept_salt(user.workspace_state(places.root, self.config.workspace_id))
        self.redactor = Redactor(self._salt)
        self.audit = AuditLog(places, clock, self.config.workspace_id, self.redactor)
        self.accepted = AcceptedStore(places, user, clock, self.config.workspace_id)
        origin = user.workspace_state(places.root, self.config.workspace_id) / "origin"
        if self.accepted.current() is None and not origin.exists():
            arrive(places, origin, clock, self.audit)
        self.accepted.recover(self._append_change, self._has_change)
        self.config = self._in_force()
        self.database = self._own_database(origin)
        self.store = Store(user.store)
        self.workers = WorkerPool()
        own = {artifacts.SAVE.id: offer(artifacts.SAVE)}
        self.plugins = PluginHost(self.store, self._lend, reserved=tuple(own), report=self._report)
        self.authority = AuthoritySource(places, user, self.accepted, self.database, self.plugins, own)
        self.process_id = uuid7(clock)
        self._held = hold(process_lock(places.run, self.process_id))
        self.monitor = self._monitor()
        self.recovered: Recovered = recover(self.database, self.audit, clock, places.run, self.process_id)

    def _in_force(self) -> WorkspaceConfig:
        """The config that a person accepted; before that the file's, without the database that it may lead to."""
        if (found := self.accepted.current()) is None:
            return standing.config(self.places).model_copy(update={"database_url": None})
        return validate(WorkspaceConfig, parse_yaml(found.files["config.yaml"], "config.yaml"), "config.yaml")

    def _own_database(self, origin: Path) -> Database:
        database = open_database(self.places, self.clock, self.config.database_url)
        try:
            migrations.check(database, tables.OWNER, tables.MIGRATIONS[-1].revision)
            if self.config.database_url is None:
                refuse_foreign(database, origin, self.places)
        except ClonedError:
            database.close()  # an open one would leave side files, to be read with whatever takes its place
            raise
        return database

    def _monitor(self) -> Monitor:
        keeper = artifacts.Keeper(self.places, self.clock, self.database)
        dispatcher = Dispatcher(
            self.plugins, self.workers, {artifacts.SAVE.id: keeper.save}, self.places.root,
            lambda plugin: worker_spec(plugin, self.plugins),
        )  # fmt: skip
        ledger = Ledger(self.clock, self.process_id, self._salt)
        return Monitor(self.clock, self.authority, self.database, ledger, self.audit, self.redactor, dispatcher)

    @classmethod
    def create(
        cls, root: Path, user: UserPlaces, *, name: str, type_: str, actor: str, clock: Clock | None = None
    ) -> Places:
        """Make a workspace in a folder and accept it as it is made. Raises UserMistake WORKSPACE_EXISTS."""
        clock = clock or SystemClock()
        root.mkdir(parents=True, exist_ok=True)
        places = Places(root.resolve())
        if places.config.exists():
            raise UserMistake("WORKSPACE_EXISTS", f"{root} holds a workspace already")
        places.prepare()
        config = validate(WorkspaceConfig, {"workspace_id": uuid7(clock), "name": name, "type": type_}, "config.yaml")
        files = {
            places.config: _CONFIG + dump_yaml(config.model_dump(exclude_defaults=True), None),
            places.registry: _REGISTRY + dump_yaml({"schema_version": 1, "plugins": []}, None),
            places.lock: b'{"schema_version": 1, "plugins": []}\n',
        }
        redactor = Redactor(kept_salt(user.workspace_state(places.root, config.workspace_id)))
        audit = AuditLog(places, clock, config.workspace_id, redactor)
        accepted = AcceptedStore(places, user, clock, config.workspace_id)
        arrive(places, user.workspace_state(places.root, config.workspace_id) / "origin", clock, audit)
        details = {"created": name, "type": type_}
        accepted.change(
            files, {}, "workspace", details, lambda *told: _append(audit, actor, *told), based_on=accepted.proposed()
        )
        audit.close()
        return places

    @classmethod
    def open(cls, places: Places, user: UserPlaces, clock: Clock | None = None) -> "Workspace":
        """Open a workspace; what a killed process left behind is put right first. Raises what makes it unusable."""
        places.prepare()
        return cls(places, user, clock or SystemClock())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the workers and leave nothing to recover."""
        self.workers.close()
        self.plugins.close()
        with self.database.begin() as transaction:
            finish_process(transaction, self.monitor.ledger)
        self.database.close()
        self.audit.close()
        process_lock(self.places.run, self.process_id).unlink(missing_ok=True)
        os.close(self._held)

    def standing(self) -> Standing:
        """What is in force, for a decision to be based on. Raises WORKSPACE_CHANGED where the files differ from it."""
        self.accepted.check()
        return self.authority.standing()

    def proposed(self) -> Standing:
        """What the files say now, whether anybody accepted it or not."""
        return standing.as_proposed(self.accepted, self.places, self.user)

    def change(
        self, kind: str, actor: str, details: Mapping[str, Any], files: Mapping[Path, bytes | None],
        folders: Mapping[str, Mapping[str, str]] | None = None, *, based_on: Proposed,
    ) -> None:  # fmt: skip
        """Put files in force that a person has just agreed to, with an audit entry, whole or not at all.

        `based_on` is what the person decided on. Raises WORKSPACE_MOVED when it is not what stands any more.
        """
        self.accepted.change(
            files, folders, kind, dict(details), lambda *told: _append(self.audit, actor, *told), based_on=based_on
        )
        with self.database.begin() as transaction:
            self.database.bump(transaction.connection)
            transaction.publish(f"{kind}.changed", self.config.workspace_id, details)
        self.authority.moved()
        self.config = self._in_force()

    def decide(self, request_id: str, actor: str, verdict: str, reason: str) -> Approval:
        """Record a person's decision on a request; the audit has it before it counts."""
        with self.database.begin() as transaction:
            connection = transaction.connection
            decided = approvals.decide(connection, self.clock, request_id, actor, verdict, reason, self._salt)
            told = {"request_id": request_id, "verdict": verdict, "reason": reason, "tool_id": decided.body["tool_id"]}
            self.audit.append("decision", actor=actor, run_id=decided.run_id, details=told)
            transaction.publish("approval.decided", request_id, {"verdict": verdict})
        return decided

    def verdicts(self) -> tuple[PluginVerdict, ...]:
        """What became of each plugin, by what was accepted."""
        self.authority.standing()
        return self.plugins.verdicts()

    def judged(self, found: Standing) -> tuple[PluginVerdict, ...]:
        """What would become of each plugin if these were the files; changes nothing."""
        return self.plugins.judged(inputs_of(found))

    def migrate(self, plugin_id: str) -> None:
        """Bring a plugin's own tables to the shape that its code knows."""
        self.authority.standing()
        for owner, steps in self.plugins.ask("cloned_migrations", plugin_id):
            migrations.migrate(self.database, owner, steps, self.places)

    def index_commands(self) -> None:
        """Write what plugins add to the command line where `cloned --help` reads it."""
        self.authority.standing()
        place = index.place(self.user.state, self.places.root)
        private_folder(place.parent)
        write_atomic(place, index.render(self.plugins.enabled()))

    def policy_packs(self) -> list[PolicyPackSource]:
        """The policy packs of the enabled plugins."""
        return self._asked("cloned_policy_packs", PolicyPackSource)

    def plugin_operations(self, operation_id: str) -> list[Operation]:
        """The operations of the plugin that declares this one; only its code is loaded. Empty where none does."""
        self.authority.standing()
        for plugin in self.plugins.enabled():
            if operation_id in plugin.manifest.contributes.operations:
                return [found for _, values in self.plugins.ask("cloned_operations", plugin.id) for found in values]
        return []

    def plugin_checks(self) -> list[CheckFinding]:
        """What the enabled plugins' own checks find."""
        return [finding for check in self._asked("cloned_checks", Check) for finding in check.run()]

    def vault(self) -> VaultProvider:
        """The vault provider that the config chooses. Raises UserMistake VAULT_UNKNOWN, or why its plugin is out."""
        self.authority.standing()
        wanted = self.config.vault.provider
        for plugin in self.plugins.enabled():
            if wanted in plugin.manifest.contributes.vault_providers:
                for _, values in self.plugins.ask("cloned_vault_providers", plugin.id):
                    found: VaultProvider = next(provider for provider in values if provider.name == wanted)
                    return found
        raise UserMistake("VAULT_UNKNOWN", f"no enabled plugin offers the vault provider {wanted!r}")

    def _asked(self, hook: str, kind: type[Found]) -> list[Found]:
        self.authority.standing()
        return [found for _, values in self.plugins.ask(hook) for found in values if isinstance(found, kind)]

    def _lend(self, plugin: VerifiedPlugin) -> LentHost:
        states = self.user.workspace_state(self.places.root, self.config.workspace_id) / "plugins"
        return LentHost(
            plugin.id, plugin.settings, self.database, self.monitor, self.clock, states, self.places.run,
            self._log, lambda: self._asked("cloned_skill_packs", SkillPackSource),
        )  # fmt: skip

    def _log(self, level: str, message: str) -> None:
        logging.getLogger("cloned").log(
            logging.getLevelNamesMapping()[level.upper()], printable(self.redactor.line(message))
        )

    def _report(self, plugin_id: str, fault: ClonedError) -> None:
        self._log("warning", f"{plugin_id}: {fault.id}: {fault.fact}")

    def _append_change(self, kind: str, details: dict[str, Any], change_id: str) -> None:
        _append(self.audit, "kernel", kind, {**details, "recovered": True}, change_id)

    def _has_change(self, change_id: str) -> bool:
        return any((entry.get("details") or {}).get("change_id") == change_id for _, entry in self.audit.entries())


def _append(audit: AuditLog, actor: str, kind: str, details: dict[str, Any], change_id: str) -> None:
    audit.append(kind, actor=actor, details={**details, "change_id": change_id})


def open_database(places: Places, clock: Clock, url: str | None) -> Database:
    """The workspace's database: the one that the config names, else SQLite beside the config."""
    return Database(url or sqlite_url(places.database), clock)


def arrive(places: Places, origin: Path, clock: Clock, audit: AuditLog) -> None:
    """Begin a database and an audit of this machine's own, where there never were any, and note which in `origin`.

    What lies in their place came with a checkout or an archive: it is set aside, neither trusted nor deleted.
    """
    with locked(places.run / "arrival.lock"):
        if origin.exists():
            return
        foreign = [path for path in map(places.home.joinpath, _MADE_HERE) if os.path.lexists(path)]
        aside = [path.rename(path.with_name(f"foreign-{uuid7(clock)}-{path.name}")) for path in foreign]
        database = open_database(places, clock, None)
        migrations.migrate(database, tables.OWNER, tables.MIGRATIONS, places)
        token = secrets.token_hex(16)
        with database.begin() as transaction:
            transaction.connection.execute(tables.origin.insert().values(token=token))
        database.close()
        if aside:
            audit.append("workspace", actor="kernel", details={"set_aside": [path.name for path in aside]})
        private_folder(origin.parent)
        write_atomic(origin, token.encode())


def refuse_foreign(database: Database, origin: Path, places: Places) -> None:
    """Raise WORKSPACE_CHANGED for a database that was not made by `arrive` here: git replaces files that it ignores."""
    with database.read() as connection:
        tokens = [row.token.encode() for row in connection.execute(sa.select(tables.origin))]
    if not origin.exists() or tokens != [read_bytes(origin)]:
        repair = "put the one that was made here back in its place; 'foreign-*' files beside it are those set aside"
        fact = f"{places.database} is not the database that was made here for this workspace"
        raise TrustRefused("WORKSPACE_CHANGED", fact, repair=repair)


def hold(lock: Path) -> int:
    """Take the lock that tells other processes that this one lives; the operating system frees it when it ends.

    Raises WORKSPACE_READ_ONLY.
    """
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Unavailable("WORKSPACE_READ_ONLY", f"cannot lock {lock}: {error.strerror}") from error
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor
