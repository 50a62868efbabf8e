"""What people decided about a workspace, read as one: the inputs of every judgement. Judges nothing.

What is in force is read from the bytes that a person accepted, never from the files, which may change a moment later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cloned_schemas.config import WorkspaceConfig
from cloned_schemas.errors import TrustRefused, UserMistake
from cloned_schemas.registry import Lock, Registry
from cloned_schemas.trust import Publisher, Revocations, WorkspaceTrust
from cloned_storage.accepted import AcceptedStore, Proposed
from cloned_storage.files import parse_json, parse_yaml, read_json, read_yaml, validate
from cloned_storage.layout import Places, UserPlaces


@dataclass(frozen=True, slots=True)
class Standing:
    """One reading. `overlay` is the overlay of the pack that the config refers to; `based_on` is what was read.

    `folders`: plugin id, granted name, absolute path.
    """

    config: WorkspaceConfig
    registry: Registry
    lock: Lock
    overlay: bytes | None
    folders: Mapping[str, Mapping[str, str]]
    publishers: tuple[Publisher, ...]
    revocations: Revocations
    based_on: Proposed


def accepted(store: AcceptedStore, places: Places, user: UserPlaces) -> Standing:
    """What a person accepted, whatever the files say now. Raises TrustRefused WORKSPACE_NOT_ACCEPTED."""
    found = store.proposed()
    if found.accepted is None:
        raise TrustRefused("WORKSPACE_NOT_ACCEPTED", f"nobody accepted {places.home} on this machine")
    return _parsed(found.accepted.files, found, places, user)


def as_proposed(store: AcceptedStore, places: Places, user: UserPlaces) -> Standing:
    """What the files say now, whether anybody accepted it or not. Raises UserMistake FILE_* for what cannot be read."""
    proposed = store.proposed()
    return _parsed(proposed.files, proposed, places, user)


def _parsed(files: Mapping[str, bytes], based_on: Proposed, places: Places, user: UserPlaces) -> Standing:
    try:
        config_file, registry_file, lock_file = (
            files[name] for name in ("config.yaml", "registry.yaml", "plugins.lock.json")
        )
    except KeyError as missing:
        raise UserMistake("FILE_UNREADABLE", f".cloned/{missing.args[0]} is missing") from missing
    found = validate(WorkspaceConfig, parse_yaml(config_file, "config.yaml"), "config.yaml")
    narrowed = _narrowing(places)
    only, own = narrowed.only_publishers, revocations(user)
    return Standing(
        found,
        validate(Registry, parse_yaml(registry_file, "registry.yaml"), "registry.yaml"),
        validate(Lock, parse_json(lock_file, "plugins.lock.json"), "plugins.lock.json"),
        files.get(overlay_name(found.policy_pack_ref)) if found.policy_pack_ref else None,
        based_on.accepted.folders if based_on.accepted else {},
        tuple(known for known in publishers(user) if only is None or known.publisher_id in only),
        own.model_copy(update={"entries": [*own.entries, *narrowed.revocations]}),
        based_on,
    )


def _narrowing(places: Places) -> WorkspaceTrust:
    """What the workspace trusts less than its user: it takes away only, so nobody needs to accept it."""
    path = places.trust / "trust.yaml"
    return read_yaml(path, WorkspaceTrust) if path.exists() else WorkspaceTrust()


def config(places: Places) -> WorkspaceConfig:
    """The workspace's config as its file says."""
    return read_yaml(places.config, WorkspaceConfig)


def overlay_name(pack_ref: str) -> str:
    """The overlay of a pack, below `.cloned`."""
    return f"policy/{pack_ref.partition(':')[2]}.yaml"


def publishers(user: UserPlaces) -> tuple[Publisher, ...]:
    """The publishers that this user trusts, by id. Raises FILE_INVALID for a record under another's name."""
    found = tuple(_named(path) for path in sorted(user.publishers.glob("*.json")))
    return tuple(sorted(found, key=lambda publisher: publisher.publisher_id))


def _named(path: Path) -> Publisher:
    publisher = read_json(path, Publisher)
    if path.name != f"{publisher.publisher_id}.json":
        raise TrustRefused("FILE_UNSAFE", f"{path} is the record of publisher {publisher.publisher_id}")
    return publisher


def revocations(user: UserPlaces) -> Revocations:
    """The user's own revocation list; empty where there is none."""
    return read_json(user.revocations, Revocations) if user.revocations.exists() else Revocations()
