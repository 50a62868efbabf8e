"""Operations on installed plugins: see them, let them take part or not, lend them folders, verify them, remove them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from cloned.host import index
from cloned.host.judgement import PluginVerdict
from cloned_operations import registry
from cloned_operations.consent import consent_facts
from cloned_operations.context import Context
from cloned_schemas.errors import UserMistake, error_for
from cloned_sdk.host import Operation
from cloned_storage.standing import Standing


class ListInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`why` tells the reason for each state; `unmanaged` adds what pip installed, which is never used."""

    why: bool = False
    unmanaged: bool = False


class Listed(msgspec.Struct, frozen=True):
    """Plugins by id."""

    plugins: list[dict[str, Any]]


class IdInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plugin's id."""

    id: str


class VerifyInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plugin's id, or none for all."""

    id: str | None = None


class GrantInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Folders to lend (NAME=PATH) and names to take back."""

    id: str
    folder: list[str] = []
    revoke_folder: list[str] = []


class Shown(msgspec.Struct, frozen=True):
    """State, manifest and grants of one plugin."""

    plugin: dict[str, Any]
    asks: list[str]
    grants: dict[str, Any]
    folders: dict[str, str]


class Done(msgspec.Struct, frozen=True):
    """What was done to which plugin."""

    id: str
    done: str


def _list(context: Context, wanted: ListInput) -> Listed:
    workspace = context.workspace
    every = [*workspace.verdicts(), *(index.unmanaged() if wanted.unmanaged else ())]
    return Listed([_row(verdict, why=wanted.why) for verdict in every])


def _row(verdict: PluginVerdict, *, why: bool) -> dict[str, Any]:
    plugin = verdict.plugin
    told: dict[str, Any] = {"id": verdict.plugin_id, "version": verdict.version, "state": verdict.state}
    if plugin is not None:
        told |= {"execution": plugin.manifest.execution, "tools": sorted(plugin.tools)}
    if verdict.error_id is not None and verdict.state == "refused":
        told |= {"error_id": verdict.error_id, "reason": verdict.reason, "repair": verdict.repair}
    elif why:
        told["reason"] = verdict.reason or _why(verdict)
    return told


def _why(verdict: PluginVerdict) -> str:
    if (plugin := verdict.plugin) is None:
        return ""
    return f"signed by {plugin.publisher_id}, key {plugin.keyid[:12]}…; {len(plugin.files)} files are as signed"


def _show(context: Context, wanted: IdInput) -> Shown:
    found = context.workspace.authority.standing()
    entry = registry.entry_of(found.registry, wanted.id)
    verdict = _examined(context, found, wanted.id)
    if verdict.plugin is None:
        raise verdict.refusal()
    folders = {name: str(place) for name, place in verdict.plugin.folders.items()}
    shown = verdict.plugin.manifest.model_dump(mode="json", exclude={"files", "contributes"}, exclude_defaults=True)
    for tool in shown.get("tools", []):
        tool.pop("input_schema", None)
        tool.pop("output_schema", None)
    state = {"state": "enabled" if entry.enabled else "installed, not enabled", "publisher_key": verdict.plugin.keyid}
    return Shown(shown | state, consent_facts(verdict.plugin.manifest), entry.grants.model_dump(), folders)


def _examined(context: Context, found: Standing, plugin_id: str) -> PluginVerdict:
    """The verdict on a plugin as if it were enabled."""
    enabled = registry.entry_of(found.registry, plugin_id).model_copy(update={"enabled": True})
    tried = replace(found, registry=registry.with_entry(found.registry, enabled))
    return next(verdict for verdict in context.workspace.judged(tried) if verdict.plugin_id == plugin_id)


def _verify(context: Context, wanted: VerifyInput) -> Listed:
    found = context.workspace.authority.standing()
    ids = [wanted.id] if wanted.id else sorted(entry.id for entry in found.lock.plugins)
    verdicts = [_examined(context, found, plugin_id) for plugin_id in ids]
    rows = [
        {
            "id": verdict.plugin_id,
            "version": verdict.version,
            "state": "refused" if verdict.plugin is None else "verified",
            "files": len(verdict.plugin.files) if verdict.plugin else 0,
            "reason": verdict.reason,
            "error_id": verdict.error_id,
        }
        for verdict in verdicts
    ]
    refused = [verdict for verdict in verdicts if verdict.plugin is None]
    if refused:
        first = refused[0].refusal()
        raise error_for(first.id, first.fact, repair=first.repair, details={"plugins": rows})
    return Listed(rows)


def _enable(context: Context, wanted: IdInput) -> Done:
    workspace = context.workspace
    found = workspace.standing()
    verdict = _examined(context, found, wanted.id)
    if verdict.plugin is None:
        raise verdict.refusal()
    manifest = verdict.plugin.manifest
    context.operator.confirm(f"enable {wanted.id} {verdict.version}", [manifest.summary, *consent_facts(manifest)])
    entry = registry.entry_of(found.registry, wanted.id)
    hosts = [target.host for target in manifest.egress]
    grants = entry.grants.model_copy(update={"hosts": hosts, "capabilities": manifest.capabilities_required})
    proposed, lock = registry.granted(found.registry, found.lock, wanted.id, grants)
    proposed = registry.with_entry(
        proposed, registry.entry_of(proposed, wanted.id).model_copy(update={"enabled": True})
    )
    _put(context, replace(found, registry=proposed, lock=lock), {"plugin": wanted.id, "enabled": True})
    workspace.migrate(wanted.id)
    return Done(wanted.id, "enabled")


def _disable(context: Context, wanted: IdInput) -> Done:
    found = context.workspace.standing()
    entry = registry.entry_of(found.registry, wanted.id)
    context.operator.confirm(
        f"disable {wanted.id}", ["its tools, packs and commands are gone until it is enabled again"]
    )
    proposed = registry.with_entry(found.registry, entry.model_copy(update={"enabled": False}))
    _put(context, replace(found, registry=proposed), {"plugin": wanted.id, "enabled": False})
    return Done(wanted.id, "disabled")


def _grant(context: Context, wanted: GrantInput) -> Done:
    workspace = context.workspace
    found = workspace.standing()
    entry = registry.entry_of(found.registry, wanted.id)
    verdict = _examined(context, found, wanted.id)
    if verdict.plugin is None:
        raise verdict.refusal()
    needs = verdict.plugin.manifest.folders
    new = dict(registry.folder_grant(text, context.start) for text in wanted.folder)
    for place in new.values():
        registry.refuse_unsafe(place, workspace)
    asked = [need.name for need in needs]
    if unasked := [name for name in new if name not in asked and not any(need.many for need in needs)]:
        asks = f"it asks for {', '.join(asked)}" if asked else "it asks for none"
        raise UserMistake("FOLDER_UNKNOWN", f"{wanted.id} asks for no folder {', '.join(unasked)}; {asks}")
    before = dict(found.folders.get(wanted.id, {}))
    if unknown := [name for name in wanted.revoke_folder if name not in before]:
        raise UserMistake("FOLDER_UNKNOWN", f"{wanted.id} was not lent {', '.join(unknown)}")
    lent = {**before, **{name: str(place) for name, place in new.items()}}
    after = {name: place for name, place in lent.items() if name not in wanted.revoke_folder}
    context.operator.confirm(f"change what {wanted.id} is lent", _folder_facts(before, after))
    grants = entry.grants.model_copy(update={"folders": sorted(after)})
    proposed, lock = registry.granted(found.registry, found.lock, wanted.id, grants)
    told = {"plugin": wanted.id, "folders": after}
    _put(context, replace(found, registry=proposed, lock=lock, folders={**found.folders, wanted.id: after}), told)
    return Done(
        wanted.id,
        "lent " + ", ".join(f"{name} ({place})" for name, place in after.items()) if after else "lent nothing",
    )


def _folder_facts(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    kept = [
        f"{'keeps' if before.get(name) == place else 'lends'}  {name}: {place}, read-only"
        for name, place in after.items()
    ]
    moved = [f"instead of {name}: {place}" for name, place in before.items() if name in after and after[name] != place]
    return [*kept, *moved, *(f"takes  {name}: {place} back" for name, place in before.items() if name not in after)]


def _remove(context: Context, wanted: IdInput) -> Done:
    found = context.workspace.standing()
    registry.entry_of(found.registry, wanted.id)
    facts = ["its grants are gone; tables that it made stay, so that nothing is lost"]
    context.operator.confirm(f"remove {wanted.id} from this workspace", facts)
    proposed, lock = registry.without(found.registry, found.lock, wanted.id)
    told = {"plugin": wanted.id, "removed": True}
    folders = {plugin_id: lent for plugin_id, lent in found.folders.items() if plugin_id != wanted.id}
    _put(context, replace(found, registry=proposed, lock=lock, folders=folders), told)
    return Done(wanted.id, "removed")


def _put(context: Context, proposed: Standing, told: dict[str, Any]) -> None:
    workspace = context.workspace
    files = registry.files_of(workspace, proposed)
    workspace.change("install", context.actor, told, files, proposed.folders, based_on=proposed.based_on)
    workspace.index_commands()


LIST = Operation("plugin.list", "The plugins here and what state each is in", "read", ListInput, Listed, _list)
SHOW = Operation("plugin.show", "Everything a plugin is, asks for and was granted", "read", IdInput, Shown, _show)
ENABLE = Operation("plugin.enable", "Let an installed plugin take part", "write", IdInput, Done, _enable)
DISABLE = Operation("plugin.disable", "Take a plugin out of force", "write", IdInput, Done, _disable)
GRANT = Operation("plugin.grant", "Lend a plugin folders, or take them back", "write", GrantInput, Done, _grant)
REMOVE = Operation("plugin.remove", "Remove a plugin from this workspace", "write", IdInput, Done, _remove)
VERIFY = Operation("plugin.verify", "Verify signatures and every file", "read", VerifyInput, Listed, _verify)
