"""Registry and lock as a person's decisions change them: pure functions from what stands to what is proposed."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloned.workspace import Workspace
from cloned_schemas.errors import UserMistake
from cloned_schemas.registry import Grants, Lock, LockEntry, Registry, RegistryEntry
from cloned_storage.files import dump_yaml
from cloned_storage.standing import Standing


def entry_of(registry: Registry, plugin_id: str) -> RegistryEntry:
    """A plugin's entry. Raises UserMistake PLUGIN_UNKNOWN."""
    for entry in registry.plugins:
        if entry.id == plugin_id:
            return entry
    raise UserMistake("PLUGIN_UNKNOWN", f"{plugin_id} is not installed in this workspace")


def with_entry(registry: Registry, entry: RegistryEntry) -> Registry:
    """The registry with this entry in its place, or added."""
    others = [known for known in registry.plugins if known.id != entry.id]
    return registry.model_copy(update={"plugins": sorted([*others, entry], key=lambda found: found.id)})


def with_locked(lock: Lock, entry: LockEntry) -> Lock:
    """The lock with this entry in its place, or added."""
    others = [known for known in lock.plugins if known.id != entry.id]
    return lock.model_copy(update={"plugins": sorted([*others, entry], key=lambda found: found.id)})


def without(registry: Registry, lock: Lock, plugin_id: str) -> tuple[Registry, Lock]:
    """Both without a plugin."""
    return (
        registry.model_copy(update={"plugins": [found for found in registry.plugins if found.id != plugin_id]}),
        lock.model_copy(update={"plugins": [found for found in lock.plugins if found.id != plugin_id]}),
    )


def granted(registry: Registry, lock: Lock, plugin_id: str, grants: Grants) -> tuple[Registry, Lock]:
    """Both with other grants for a plugin; the lock repeats them so that a review sees them beside the digests."""
    entry = entry_of(registry, plugin_id).model_copy(update={"grants": grants})
    locked = next(found for found in lock.plugins if found.id == plugin_id).model_copy(update={"grants": grants})
    return with_entry(registry, entry), with_locked(lock, locked)


def files_of(workspace: Workspace, proposed: Standing) -> Mapping[Path, bytes]:
    """The two files' new contents; a person's comments in registry.yaml are kept."""
    current = proposed.based_on.files["registry.yaml"]
    return {
        workspace.places.registry: dump_yaml({"schema_version": 1, **_plain(proposed.registry)}, current),
        workspace.places.lock: proposed.lock.model_dump_json(indent=1).encode() + b"\n",
    }


def _plain(registry: Registry) -> dict[str, Any]:
    return {"plugins": [entry.model_dump(exclude_defaults=True) for entry in registry.plugins]}


_FOLDER = re.compile(r"([a-z][a-z0-9_-]{0,59})=(.+)", re.DOTALL)


def folder_grant(text: str, start: Path) -> tuple[str, Path]:
    """NAME=PATH as (name, absolute path). Raises UserMistake USAGE, FOLDER_UNSAFE."""
    if (found := _FOLDER.fullmatch(text)) is None:
        raise UserMistake("USAGE", f"{text!r} is not NAME=PATH, e.g. docs=./docs")
    try:
        place = (start / Path(found[2]).expanduser()).resolve()
    except RuntimeError as error:  # no such user, or links that lead in a circle
        raise UserMistake("FOLDER_UNSAFE", f"{found[2]} is not a folder: {error}") from error
    if not place.is_dir():
        raise UserMistake("FOLDER_UNSAFE", f"{place} is not a folder")
    return found[1], place


def refuse_unsafe(place: Path, workspace: Workspace) -> None:
    """Raise UserMistake FOLDER_UNSAFE for a folder that holds, or lies in, Cloned's own or a whole home."""
    own = (workspace.places.home, workspace.user.config, workspace.user.state, workspace.user.data)
    for kept in own:
        if kept.resolve().is_relative_to(place) or place.is_relative_to(kept.resolve()):
            raise UserMistake("FOLDER_UNSAFE", f"{place} holds or is part of {kept}, where Cloned keeps its own files")
    if place in {Path.home().resolve(), Path("/")}:
        raise UserMistake("FOLDER_UNSAFE", f"{place} is a whole home; grant the folder of documents alone")
