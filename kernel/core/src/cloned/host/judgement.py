"""Decide which installed plugins may take part. Reads the store and metadata; imports and runs nothing of a plugin.

What people decided (registry), what was resolved (lock) and what lies in the store must say the same, and what lies
there must be what a publisher who is trusted now signed. One plugin that is refused never stops another.
"""

import importlib.util
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cloned.hookspecs import KERNEL_API
from cloned_schemas.errors import ClonedError, PluginFault, TrustRefused, Unavailable, UserMistake, error_for
from cloned_schemas.manifest import Manifest
from cloned_schemas.registry import Grants, Lock, LockEntry, Registry, RegistryEntry
from cloned_schemas.trust import Publisher, Revocations
from cloned_sdk.host import JsonObject
from cloned_sdk.wire import tool_digest, tool_of
from cloned_storage.store import Store, read_verified
from cloned_trust import places, stored
from cloned_trust.stored import StoredRelease, TreeEntry

State = Literal["enabled", "disabled", "refused", "unmanaged"]
Shadow = Callable[[str, str], str | None]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a judgement is about; all of it accepted by a person. `folders`: plugin id → granted name → place."""

    registry: Registry
    lock: Lock
    publishers: Sequence[Publisher]
    revocations: Revocations
    folders: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VerifiedPlugin:
    """An installed plugin of which every byte was verified, with what a person lent it.

    `tools` maps each tool id to the digest of its wire description, `folders` each granted name to its place here,
    `files` each path that the manifest lists to its digest; `entries` is the tree as it was verified.
    """

    id: str
    version: str
    publisher_id: str
    keyid: str
    wheel_sha256: str
    tree: Path
    manifest: Manifest
    tools: Mapping[str, str]
    grants: Grants
    settings: JsonObject
    folders: Mapping[str, Path]
    files: Mapping[str, str] = field(repr=False)
    entries: tuple[TreeEntry, ...] = field(repr=False)

    @property
    def toplevel(self) -> str:
        """The one import package that it owns."""
        return places.package_of(self.id)

    @property
    def manifest_path(self) -> str:
        """Its manifest's path inside `tree`."""
        return places.manifest_path(self.id, self.version)

    def read(self, path: str) -> bytes:
        """A file of it. Raises TrustRefused TREE_MISMATCH if it was changed since; KeyError if it is not listed."""
        return read_verified(self.tree / path, self.files[path])


@dataclass(frozen=True, slots=True)
class PluginVerdict:
    """What became of one plugin. `plugin` is there when `state` is enabled; `tools` are the ids it has, or had."""

    plugin_id: str
    version: str
    state: State
    error_id: str | None = None
    reason: str | None = None
    repair: str | None = None
    tools: tuple[str, ...] = ()
    plugin: VerifiedPlugin | None = None

    def refusal(self) -> ClonedError:
        """Why nothing of it can be used, as an error to raise. Raises ValueError for a plugin that takes part."""
        if self.error_id is None or self.reason is None:
            raise ValueError(f"{self.plugin_id} is {self.state}")
        details = {"plugin_id": self.plugin_id, "sent": False}
        return error_for(self.error_id, self.reason, repair=self.repair, details=details)


def judge(inputs: Inputs, store: Store, *, reserved: Sequence[str], shadow: Shadow) -> tuple[PluginVerdict, ...]:
    """A verdict on every plugin that registry or lock name, sorted by id.

    `reserved` are the kernel's own tool ids. Where two plugins claim the same thing, the first by id has it. `shadow`
    tells where else a package of that name (and wheel digest) comes from.
    """
    taken = {("tool", tool_id): "Cloned itself" for tool_id in reserved}
    ids = {entry.id for entry in inputs.registry.plugins} | {entry.id for entry in inputs.lock.plugins}
    return tuple(_judged(plugin_id, inputs, store, shadow, taken) for plugin_id in sorted(ids))


def _judged(
    plugin_id: str, inputs: Inputs, store: Store, shadow: Shadow, taken: dict[tuple[str, str], str]
) -> PluginVerdict:
    asked = [entry for entry in inputs.registry.plugins if entry.id == plugin_id]
    locked = [entry for entry in inputs.lock.plugins if entry.id == plugin_id]
    version, tools = (locked[0].version, tuple(locked[0].tools)) if locked else ("", ())
    try:
        if not any(entry.enabled for entry in asked):
            raise UserMistake("PLUGIN_DISABLED", f"{plugin_id} is not enabled", repair=_enable(plugin_id))
        plugin = _verified(*_agreed(plugin_id, asked, locked), inputs, store, shadow)
        _claim(plugin, taken)
    except ClonedError as error:
        state: State = "disabled" if error.id == "PLUGIN_DISABLED" else "refused"
        free = tuple(tool_id for tool_id in tools if ("tool", tool_id) not in taken)
        return PluginVerdict(plugin_id, version, state, error.id, error.fact, error.repair, free)
    return PluginVerdict(plugin_id, version, "enabled", tools=tuple(plugin.tools), plugin=plugin)


def _enable(plugin_id: str) -> str:
    return f"run 'cloned plugin enable {plugin_id}'"


def _verified(wanted: RegistryEntry, lock: LockEntry, inputs: Inputs, store: Store, shadow: Shadow) -> VerifiedPlugin:
    plugin_id = lock.id
    tree = store.entries(lock.wheel_sha256)
    release = _released(lock, tree, inputs, store)
    manifest = release.manifest
    tools = {tool.id: tool_digest(tool_of(tool.model_dump(mode="json"))) for tool in manifest.tools}
    _as_locked(lock, release, tools)
    if manifest.kernel_api != KERNEL_API:
        fact = f"{plugin_id} was made for hook specs {manifest.kernel_api}; this Cloned has {KERNEL_API}"
        raise TrustRefused("KERNEL_API", fact)
    _refuse_foreign_names(manifest)
    _refuse_missing(manifest)
    _refuse_unfitting(manifest, wanted.settings)
    _refuse_shadowed(manifest, lock, shadow)
    here = inputs.folders.get(plugin_id, {})
    return VerifiedPlugin(
        id=plugin_id,
        version=release.version,
        publisher_id=release.publisher_id,
        keyid=release.keyid,
        wheel_sha256=release.wheel_sha256,
        tree=store.tree(release.wheel_sha256),
        manifest=manifest,
        tools=tools,
        grants=lock.grants,
        settings=wanted.settings,
        folders={name: here[name] for name in lock.grants.folders if name in here},
        files={entry.path: entry.sha256 for entry in manifest.files},
        entries=tree,
    )


def _refuse_shadowed(manifest: Manifest, lock: LockEntry, shadow: Shadow) -> None:
    package = places.package_of(lock.id)
    if manifest.execution == "kernel" and (other := shadow(package, lock.wheel_sha256)):
        raise TrustRefused("TOPLEVEL_SHADOWED", f"the package {package} of {lock.id} also comes from {other}")


def _agreed(
    plugin_id: str, asked: Sequence[RegistryEntry], locked: Sequence[LockEntry]
) -> tuple[RegistryEntry, LockEntry]:
    """The entries of registry and lock, if there is one of each at most and they do not contradict each other."""
    if len(asked) > 1 or len(locked) > 1:
        raise _unlike(plugin_id, f"stands twice in {'registry.yaml' if len(asked) > 1 else 'plugins.lock.json'}")
    if not locked:
        repair = f"run 'cloned plugin install {plugin_id}'"
        raise _unlike(plugin_id, "is in registry.yaml and was never installed here", repair)
    wanted, lock = asked[0], locked[0]
    if not _fits(wanted.version, lock.version, plugin_id):
        raise _unlike(plugin_id, f"is wanted as {wanted.version} and locked at {lock.version}")
    if wanted.grants != lock.grants:
        raise _unlike(plugin_id, "has other grants in registry.yaml than in plugins.lock.json")
    return wanted, lock


def _fits(wanted: str, version: str, plugin_id: str) -> bool:
    """Whether a version is the one wanted, or within the PEP 440 range wanted; `*` wants any."""
    if wanted in ("*", version):
        return True
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 - 20 ms that only ranges pay

    try:
        return SpecifierSet(wanted).contains(version, prereleases=True)
    except InvalidSpecifier as error:
        if wanted[:1].isdigit():
            return False  # another plain version
        fact = f"registry.yaml wants {plugin_id} as {wanted!r}, which is neither a version nor a range"
        raise UserMistake("FILE_INVALID", fact) from error


def _unlike(plugin_id: str, what: str, repair: str | None = None) -> TrustRefused:
    return TrustRefused("LOCK_MISMATCH", f"{plugin_id} {what}", repair=repair)


def _released(lock: LockEntry, tree: Sequence[TreeEntry], inputs: Inputs, store: Store) -> StoredRelease:
    wheel = lock.wheel_sha256
    verdict = stored.judge_stored(
        wheel_sha256=wheel,
        signature=store.signature(wheel),
        manifest=store.member(wheel, places.manifest_path(lock.id, lock.version)),
        record=store.member(wheel, places.record_path(lock.id, lock.version)),
        tree=tree,
        publishers=inputs.publishers,
        revocations=inputs.revocations,
    )
    if verdict.release is not None:
        return verdict.release
    finding = next(found for found in verdict.findings if found.refuses)
    about = "" if finding.subject == lock.id else f"{finding.subject}: "
    raise error_for(finding.error_id, f"{lock.id}: {about}{finding.detail}")


def _as_locked(lock: LockEntry, release: StoredRelease, tools: Mapping[str, str]) -> None:
    facts = {
        "id": release.plugin_id,
        "version": release.version,
        "publisher_id": release.publisher_id,
        "keyid": release.keyid,
        "wheel": release.wheel_name,
        "manifest_sha256": release.manifest_sha256,
        "tools": dict(tools),
    }
    differing = [name for name, value in facts.items() if getattr(lock, name) != value]
    if differing:
        raise _unlike(lock.id, f"has another {', '.join(differing)} in plugins.lock.json than in the store")


def _refuse_foreign_names(manifest: Manifest) -> None:
    namespace = manifest.id.partition("-")[0]
    for name in (*manifest.contributes.operations, *manifest.contributes.checks):
        if name.partition(".")[0] != namespace:
            raise TrustRefused(
                "NAMESPACE_NOT_OWNED", f"{manifest.id} contributes {name}, which is not below {namespace}"
            )


def _refuse_missing(manifest: Manifest) -> None:
    """Hold the libraries that a plugin uses of the host against what is installed, by metadata alone."""
    missing = [line for line in manifest.host_requires if not _installed(line, manifest.id)]
    if missing:
        pip = [sys.executable, "-m", "pip"] if importlib.util.find_spec("pip") else ["uv", "pip"]
        python = [] if pip[0] == sys.executable else ["--python", sys.executable]
        fact = f"{manifest.id} needs {', '.join(missing)} in this Python"
        raise Unavailable("DEPENDENCY_MISSING", fact, repair=f"run: {shlex.join([*pip, 'install', *python, *missing])}")


def _installed(line: str, plugin_id: str) -> bool:
    from importlib import metadata  # noqa: PLC0415 - 25 ms that only plugins with requirements pay

    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - with it

    try:
        wanted = Requirement(line)
    except InvalidRequirement as error:
        raise PluginFault("PLUGIN_LOAD", f"{plugin_id} requires {line!r}, which is no requirement") from error
    if wanted.url is not None or wanted.marker is not None:
        raise PluginFault("PLUGIN_LOAD", f"{plugin_id} requires {line!r}; only a name with a range can be checked")
    try:
        return wanted.specifier.contains(metadata.version(wanted.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False


def _refuse_unfitting(manifest: Manifest, settings: JsonObject) -> None:
    if manifest.settings_schema is None and not settings:
        return
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - 60 ms that only plugins with settings pay
    from referencing import Registry as NothingRemote  # noqa: PLC0415 - as above

    schema = manifest.settings_schema if manifest.settings_schema is not None else {"maxProperties": 0}
    fault = next(Draft202012Validator(schema, registry=NothingRemote()).iter_errors(settings), None)
    if fault is not None:
        where = "/".join(str(part) for part in fault.absolute_path) or "the whole"
        raise UserMistake("SETTINGS_INVALID", f"settings of {manifest.id}, {where}: {fault.message}")


def _claim(plugin: VerifiedPlugin, taken: dict[tuple[str, str], str]) -> None:
    """Give a plugin what it claims, all of it or nothing."""
    claims = tuple(_claims(plugin.manifest))
    for kind, name in claims:
        if (owner := taken.get((kind, name))) is not None:
            error_id = "TOOL_ID_TAKEN" if kind == "tool" else "CONTRIBUTION_TAKEN"
            raise TrustRefused(error_id, f"{plugin.id} claims the {kind} {name}, which {owner} has")
    taken.update(dict.fromkeys(claims, plugin.id))


def _claims(manifest: Manifest) -> Iterator[tuple[str, str]]:
    contributes = manifest.contributes
    yield from (("tool", tool.id) for tool in manifest.tools)
    yield from (("operation", name) for name in contributes.operations)
    yield from (("check", name) for name in contributes.checks)
    yield from (("connector", name) for name in contributes.connectors)
    yield from (("vault provider", name) for name in contributes.vault_providers)
    yield from (("skill pack", pack.id) for pack in contributes.skill_packs)
    yield from (("command", " ".join(command.path)) for command in contributes.commands)
