"""The operation by which a person looks at what changed in a workspace's files, and accepts it."""

from typing import Any

import msgspec

from cloned_operations.context import Context
from cloned_sdk.host import Operation


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No inputs."""


class Synced(msgspec.Struct, frozen=True):
    """The files that are in force now as they stand, and what keeps a plugin from taking part."""

    accepted: list[str]
    refused: list[dict[str, Any]]


def _sync(context: Context, _: Nothing) -> Synced:
    workspace = context.workspace
    # A file that does not fit its schema is refused here, before anybody is asked to accept it.
    proposed = workspace.proposed().based_on
    names = [changed.file for changed in proposed.differences]
    if names:
        facts = [line for changed in proposed.differences for line in changed.lines]
        context.operator.confirm(f"accept the changes in {', '.join(names)}", facts)
        files = {workspace.places.home / name: proposed.files.get(name) for name in names}
        workspace.change("workspace", context.actor, {"accepted": names}, files, based_on=proposed)
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
