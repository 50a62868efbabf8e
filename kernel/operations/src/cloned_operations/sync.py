"""The operation by which a person looks at what changed in a workspace's files, and accepts it."""

from dataclasses import replace
from typing import Any

import msgspec

from cloned_operations.context import Context
from cloned_schemas.policy import PolicyOverlay
from cloned_sdk.host import Operation
from cloned_storage.accepted import Proposed
from cloned_storage.files import parse_yaml, validate
from cloned_storage.standing import Standing


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No inputs."""


class Synced(msgspec.Struct, frozen=True):
    """The files that are in force now as they stand, and what keeps a plugin from taking part."""

    accepted: list[str]
    refused: list[dict[str, Any]]


def _relocked(found: Standing) -> Proposed:
    """The files as they would stand: the lock repeats the grants that a person wrote into registry.yaml."""
    granted = {entry.id: entry.grants for entry in found.registry.plugins}
    entries = [entry.model_copy(update={"grants": granted.get(entry.id, entry.grants)}) for entry in found.lock.plugins]
    if entries == found.lock.plugins:
        return found.based_on
    lock = found.lock.model_copy(update={"plugins": entries}).model_dump_json(indent=1).encode() + b"\n"
    return replace(found.based_on, files={**found.based_on.files, "plugins.lock.json": lock})


def _sync(context: Context, _: Nothing) -> Synced:
    workspace = context.workspace
    # A file that does not fit its schema is refused here, before anybody is asked to accept it.
    found = workspace.proposed()
    wanted = _relocked(found)
    differences = wanted.differences
    names = [changed.file for changed in differences]
    for name in names:
        if name.startswith("policy/") and (data := wanted.files.get(name)) is not None:
            validate(PolicyOverlay, parse_yaml(data, name), name)
    if names:
        facts = [line for changed in differences for line in changed.lines]
        context.operator.confirm(f"accept the changes in {', '.join(names)}", facts)
        files = {workspace.places.home / name: wanted.files.get(name) for name in names}
        workspace.change("workspace", context.actor, {"accepted": names}, files, based_on=found.based_on)
        workspace.index_commands()
    refused = [
        {"id": found.plugin_id, "error_id": found.error_id, "reason": found.reason}
        for found in workspace.verdicts()
        if found.state == "refused"
    ]
    return Synced(names, refused)


SYNC = Operation(
    "plugin.sync", "Show what changed in the workspace's files, and accept it", "write", Nothing, Synced, _sync
)
