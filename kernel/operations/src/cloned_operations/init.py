"""The operation that makes a workspace. Nothing may run in it until a person applies a policy pack."""

from pathlib import Path
from typing import Literal

import msgspec

from cloned.workspace import Workspace
from cloned_operations.context import Context
from cloned_schemas.errors import UserMistake
from cloned_sdk.host import Operation
from cloned_storage.files import printable


class InitInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where, of what type, and what it is called; the folder's own name where `name` is left out."""

    path: str = "."
    type: Literal["personal", "shared", "enterprise"] = "personal"
    name: str | None = None


class Made(msgspec.Struct, frozen=True):
    """The new workspace and what to do next."""

    workspace: str
    workspace_id: str
    type: str
    policy: str
    next: list[str]


def _init(context: Context, wanted: InitInput) -> Made:
    root = (context.start / wanted.path).resolve()
    if root.exists() and not root.is_dir():
        raise UserMistake("USAGE", f"{root} is not a folder")
    name = wanted.name or printable(root.name)[:300] or "workspace"  # a folder may be called anything
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserMistake("USAGE", f"cannot make {root}: {error.strerror}") from error
    places = Workspace.create(
        root, context.user, name=name, type_=wanted.type, actor=context.actor, clock=context.clock
    )
    with Workspace.open(places, context.user, context.clock) as workspace:
        workspace_id = workspace.config.workspace_id
    steps = [
        "cloned trust add PUBLISHER.json",
        "cloned plugin install cloned-policy-packs --from FOLDER --enable",
        f"cloned policy apply {wanted.type}",
    ]
    return Made(str(Path(places.root)), workspace_id, wanted.type, "none yet: every call is denied", steps)


INIT = Operation("workspace.init", "Make a workspace", "write", InitInput, Made, _init)
