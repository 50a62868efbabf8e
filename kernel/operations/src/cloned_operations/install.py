"""The operation that installs a plugin: every check, then a person's consent, then the store, then registry and lock.

Nothing of the wheel is unpacked before its signature is verified, and nothing of it is ever imported here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from cloned.monitor.validation import refuse_unusable
from cloned.workspace import Workspace
from cloned_operations import registry
from cloned_operations.consent import consent_facts
from cloned_operations.context import Context
from cloned_schemas.errors import TrustRefused, UserMistake, error_for
from cloned_schemas.registry import Grants, LockEntry, RegistryEntry
from cloned_sdk.host import Operation
from cloned_sdk.wire import tool_digest, tool_of
from cloned_storage.files import read_bytes
from cloned_storage.standing import Standing
from cloned_trust.release import Release, judge_release

MAX_WHEEL = 64 << 20
MAX_SIGNATURE = 1 << 20
SIGNATURE = ".cloned.dsse.json"


class InstallInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"source": "from"}):
    """A plugin's id with the folder that holds its wheel, or a wheel's path."""

    id: str
    source: str | None = None
    version: str | None = None
    enable: bool = False
    dry_run: bool = False


class Installed(msgspec.Struct, frozen=True):
    """What was installed, or with `dry_run` what would be."""

    id: str
    version: str
    publisher: str
    keyid: str
    wheel_sha256: str
    enabled: bool
    dry_run: bool
    asks: list[str] = []


def _install(context: Context, wanted: InstallInput) -> Installed:
    workspace = context.workspace
    wheel_path = _wheel(context, wanted)
    found = workspace.standing()
    try:
        release, signature = judged(wheel_path, found)
        with _stored(workspace, release, signature) as kept:
            proposed = _proposed(release, found, enable=wanted.enable)
            _refuse_unfitting(workspace, release.plugin_id, proposed)
            # A release that takes the place of an enabled one takes part at once, so it is consented to likewise.
            enabled = registry.entry_of(proposed.registry, release.plugin_id).enabled
            facts = [*_what(release, found), *(consent_facts(release.manifest) if enabled else [])]
            if not wanted.dry_run:
                doing = "install and enable" if enabled else "install"
                context.operator.confirm(f"{doing} {release.plugin_id} {release.version}", facts)
                kept.append(release)
    except TrustRefused as refusal:
        told = {"plugin": wanted.id, "wheel": wheel_path.name, "reason": refusal.fact}
        workspace.audit.append("refusal", actor=context.actor, error_id=refusal.id, details=told)
        raise
    if not wanted.dry_run:
        _carry_out(context, workspace, release, proposed)
    return Installed(
        release.plugin_id, release.version, release.publisher_id, release.keyid, release.wheel_sha256,
        enabled, wanted.dry_run, facts if wanted.dry_run else [],
    )  # fmt: skip


@contextmanager
def _stored(workspace: Workspace, release: Release, signature: bytes) -> Iterator[list[Release]]:
    """The release in the store for as long as it is judged there; it stays only if the block put it in the list."""
    new = release.wheel_sha256 not in workspace.store.wheels()
    kept: list[Release] = []
    workspace.store.put(release, signature)
    try:
        yield kept
    finally:
        if new and not kept:
            workspace.store.remove(release.wheel_sha256)


def _wheel(context: Context, wanted: InstallInput) -> Path:
    given = context.start / wanted.id
    if wanted.id.endswith(".whl"):
        if not given.is_file():
            raise UserMistake("PLUGIN_NOT_FOUND", f"there is no wheel {given}")
        return given
    if wanted.source is None:
        raise UserMistake("USAGE", f"say where {wanted.id} is: --from FOLDER, or give the wheel's path")
    folder = context.start / wanted.source
    versions: dict[Version, Path] = {}
    for path in sorted(folder.glob("*.whl")) if folder.is_dir() else []:
        try:
            name, version, _, _ = parse_wheel_filename(path.name)
        except ValueError:
            continue  # some other file; what is installed is judged by its content anyway
        if name == canonicalize_name(wanted.id) and wanted.version in (None, str(version)):
            versions[version] = path
    if not versions:
        raise UserMistake(
            "PLUGIN_NOT_FOUND", f"no wheel of {wanted.id} {wanted.version or ''}".rstrip() + f" lies in {folder}"
        )
    return versions[max(versions)]


def judged(wheel_path: Path, found: Standing) -> tuple[Release, bytes]:
    """The release in a wheel, through every check of trust. Raises the family's error of the first finding."""
    wheel = read_bytes(wheel_path, MAX_WHEEL)
    beside = wheel_path.with_name(wheel_path.name + SIGNATURE)
    signature = read_bytes(beside, MAX_SIGNATURE) if beside.exists() else None
    verdict = judge_release(
        wheel=wheel, wheel_name=wheel_path.name, signature=signature,
        publishers=found.publishers, revocations=found.revocations,
    )  # fmt: skip
    if verdict.release is None or signature is None:
        first = next(finding for finding in verdict.findings if finding.refuses)
        raise error_for(first.error_id, f"{first.subject}: {first.detail}")
    return verdict.release, signature


def _proposed(release: Release, found: Standing, *, enable: bool) -> Standing:
    """Registry and lock as they would be. What the manifest asks for is granted with enabling; folders one by one."""
    known = next((entry for entry in found.registry.plugins if entry.id == release.plugin_id), None)
    manifest, before = release.manifest, known.grants if known else Grants()
    hosts = [target.host for target in manifest.egress]
    asked = before.model_copy(update={"hosts": hosts, "capabilities": manifest.capabilities_required})
    grants = asked if enable else before
    entry = RegistryEntry(
        id=release.plugin_id, version=release.version, enabled=enable or bool(known and known.enabled),
        grants=grants, settings=known.settings if known else {},
    )  # fmt: skip
    return replace(
        found,
        registry=registry.with_entry(found.registry, entry),
        lock=registry.with_locked(found.lock, lock_entry(release, grants)),
    )


def _refuse_unfitting(workspace: Workspace, plugin_id: str, proposed: Standing) -> None:
    """Judge the workspace as it would be: a plugin that could not take part is refused before a person is asked."""
    enabled = registry.entry_of(proposed.registry, plugin_id).model_copy(update={"enabled": True})
    tried = replace(proposed, registry=registry.with_entry(proposed.registry, enabled))
    verdict = next(found for found in workspace.judged(tried) if found.plugin_id == plugin_id)
    if verdict.plugin is None:
        raise verdict.refusal()
    for tool in verdict.plugin.manifest.tools:
        refuse_unusable(tool)


def _what(release: Release, found: Standing) -> list[str]:
    publisher = next(known for known in found.publishers if known.publisher_id == release.publisher_id)
    manifest = release.manifest
    before = next((entry for entry in found.lock.plugins if entry.id == release.plugin_id), None)
    return [
        f"{manifest.summary}",
        f"publisher {publisher.name} ({publisher.publisher_id}), verification: {publisher.verification}",
        f"key       {release.keyid}",
        f"runs as   {manifest.execution}, isolation {manifest.isolation}",
        f"wheel     sha256 {release.wheel_sha256}",
        *([f"replaces  {before.version}"] if before else []),
    ]


def _carry_out(context: Context, workspace: Workspace, release: Release, proposed: Standing) -> None:
    entry = registry.entry_of(proposed.registry, release.plugin_id)
    told = {
        "plugin": release.plugin_id, "version": release.version, "wheel_sha256": release.wheel_sha256,
        "enabled": entry.enabled,
    }  # fmt: skip
    files = registry.files_of(workspace, proposed)
    workspace.change("install", context.actor, told, files, based_on=proposed.based_on)
    if entry.enabled:
        workspace.migrate(release.plugin_id)
    workspace.index_commands()


def lock_entry(release: Release, grants: Grants) -> LockEntry:
    """What the lock says of a release."""
    tools = {tool.id: tool_digest(tool_of(tool.model_dump(mode="json"))) for tool in release.manifest.tools}
    return LockEntry(
        id=release.plugin_id, version=release.version, publisher_id=release.publisher_id, keyid=release.keyid,
        wheel=release.wheel_name, wheel_sha256=release.wheel_sha256, manifest_sha256=release.manifest_sha256,
        tools=tools, grants=grants,
    )  # fmt: skip


INSTALL = Operation(
    "plugin.install", "Install a signed plugin through every check", "write", InstallInput, Installed, _install
)
