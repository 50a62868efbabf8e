"""Operations on trust: whose signatures this user accepts, for what, and what is no longer trusted."""

import re
from pathlib import Path
from typing import Any, Literal

import msgspec

from cloned_operations.context import Context
from cloned_schemas.errors import UserMistake, error_for
from cloned_schemas.trust import Publisher, Revocation, Revocations
from cloned_sdk.host import Operation
from cloned_storage import standing
from cloned_storage.files import locked, read_bytes, validate, write_atomic
from cloned_storage.layout import UserPlaces, private_folder
from cloned_trust import strictjson
from cloned_trust.publishers import key_set
from cloned_trust.verdict import Refusal


class AddInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A publisher.json. `kernel` also lets the publisher run code in Cloned's own process."""

    file: str
    kernel: bool = False


class IdInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A publisher's id."""

    id: str


class RevokeInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is no longer trusted: a publisher's id, a key id, or a release's wheel digest."""

    scope: Literal["publisher", "key", "release"]
    id: str
    reason: Literal["malicious", "compromised", "vulnerable", "yanked", "licence"] = "compromised"


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No inputs."""


class Listed(msgspec.Struct, frozen=True):
    """Publishers by id, and how many revocations this user keeps."""

    publishers: list[dict[str, Any]]
    revocations: int


class One(msgspec.Struct, frozen=True):
    """A publisher's record and the revocations that are about it."""

    publisher: dict[str, Any]
    revocations: list[dict[str, Any]]


class Done(msgspec.Struct, frozen=True):
    """What was done to whom."""

    id: str
    done: str


_KEY_OR_DIGEST = re.compile(r"[0-9a-f]{64}")
_FORMS = {
    "publisher": (re.compile(r"[a-z0-9]+(-[a-z0-9]+)*"), "a publisher's id"),
    "key": (_KEY_OR_DIGEST, "a whole key id"),
    "release": (_KEY_OR_DIGEST, "a whole wheel digest"),
}


def read_publisher(path: Path) -> Publisher:
    """A publisher's record from a hostile file: strict JSON, its schema, no weak or repeated key."""
    data = read_bytes(path)
    try:
        publisher = validate(Publisher, strictjson.loads(data, what=path.name), path.name)
        key_set(publisher)
    except Refusal as refusal:
        raise error_for(refusal.finding.error_id, f"{path.name}: {refusal.finding.detail}") from refusal
    return publisher


def _add(context: Context, wanted: AddInput) -> Done:
    publisher = read_publisher(context.start / wanted.file)
    executions = sorted({*publisher.executions, "kernel"} if wanted.kernel else {*publisher.executions} - {"kernel"})
    publisher = publisher.model_copy(update={"executions": executions})
    context.operator.confirm(
        f"trust publisher {publisher.publisher_id} for your user account",
        [*_replaced(context, publisher), *_meaning(publisher)],
    )
    # What widens is on record before it counts; what narrows, below, counts even where no record can be written.
    _audit(context, {"added": publisher.publisher_id, "keys": [key.keyid for key in publisher.keys], "for": executions})
    path = private_folder(context.user.publishers) / f"{publisher.publisher_id}.json"
    write_atomic(path, publisher.model_dump_json(indent=1).encode() + b"\n", 0o600)
    return Done(publisher.publisher_id, "trusted for " + ", ".join(executions))


def _replaced(context: Context, publisher: Publisher) -> list[str]:
    """What a person must not overlook: a publisher of this id is trusted already, perhaps with other keys."""
    known = next((one for one in standing.publishers(context.user) if one.publisher_id == publisher.publisher_id), None)
    if known is None:
        return []
    before, after = {key.keyid for key in known.keys}, {key.keyid for key in publisher.keys}
    gone = "; plugins signed with the keys that are gone will be refused" if before - after else ""
    return [
        f"replaces    the record of {known.publisher_id} trusted now"
        + (f" with OTHER KEYS{gone}" if before != after else "")
    ]


def _meaning(publisher: Publisher) -> list[str]:
    kernel = "kernel" in publisher.executions
    return [
        f"name        {publisher.name}" + (f" ({publisher.url})" if publisher.url else ""),
        f"namespaces  {', '.join(publisher.namespaces)}: plugins and tools under these names may come from it",
        *(f"key         {key.keyid}" for key in publisher.keys),
        f"signatures  {publisher.threshold} of {len(publisher.keys)} keys must sign a release",
        "it may ship packs as data and workers in a sandbox; each still needs installing, enabling and grants",
        *(["it may also ship code that runs in Cloned's own process, as trusted as Cloned itself"] if kernel else []),
        "a signature tells who built a plugin, not that it is harmless; compare the key with the publisher first",
    ]


def _list(context: Context, _: Nothing) -> Listed:
    rows = [
        {
            "id": found.publisher_id,
            "name": found.name,
            "namespaces": list(found.namespaces),
            "for": list(found.executions),
            "keys": [key.keyid for key in found.keys],
            "state": found.state,
        }
        for found in standing.publishers(context.user)
    ]
    return Listed(rows, len(standing.revocations(context.user).entries))


def _show(context: Context, wanted: IdInput) -> One:
    publisher = _find(context.user, wanted.id)
    keys = {key.keyid for key in publisher.keys}
    about = [
        entry.model_dump()
        for entry in standing.revocations(context.user).entries
        if entry.id == publisher.publisher_id or entry.id in keys
    ]
    return One(publisher.model_dump(), about)


def _find(user: UserPlaces, publisher_id: str) -> Publisher:
    for publisher in standing.publishers(user):
        if publisher.publisher_id == publisher_id:
            return publisher
    raise UserMistake("PUBLISHER_UNKNOWN", f"no publisher {publisher_id!r} is trusted here")


def _remove(context: Context, wanted: IdInput) -> Done:
    publisher = _find(context.user, wanted.id)
    facts = ["its plugins are refused from now on, in every workspace of yours"]
    context.operator.confirm(f"stop trusting publisher {publisher.publisher_id}", facts)
    (context.user.publishers / f"{publisher.publisher_id}.json").unlink()
    _audit(context, {"removed": publisher.publisher_id})
    return Done(publisher.publisher_id, "no longer trusted")


def _revoke(context: Context, wanted: RevokeInput) -> Done:
    form, what = _FORMS[wanted.scope]
    if not form.fullmatch(wanted.id):  # a revocation of something that cannot exist would only look like one
        raise UserMistake(
            "USAGE", f"{wanted.id!r} is not {what}", repair="take it whole from 'cloned trust show' or the lock"
        )
    facts = [
        f"reason: {wanted.reason}",
        "what it covers is refused at install and at every start, in every workspace of yours",
    ]
    context.operator.confirm(f"revoke {wanted.scope} {wanted.id}", facts)
    action: Literal["block-load", "block-install"] = "block-install" if wanted.reason == "yanked" else "block-load"
    entry = Revocation(scope=wanted.scope, id=wanted.id, reason=wanted.reason, action=action)
    with locked(private_folder(context.user.config) / "revocations.lock"):
        kept = standing.revocations(context.user)
        grown = Revocations(seq=kept.seq + 1, entries=[*kept.entries, entry])
        write_atomic(context.user.revocations, grown.model_dump_json(indent=1).encode() + b"\n", 0o600)
    _audit(context, {"revoked": wanted.scope, "id": wanted.id, "reason": wanted.reason})
    return Done(wanted.id, "revoked")


def _audit(context: Context, details: dict[str, Any]) -> None:
    # Trust belongs to the user, not to a workspace; where the command was given inside one, that one's audit tells it.
    if context.inside_workspace:
        context.workspace.audit.append("trust", actor=context.actor, details=details)


ADD = Operation("trust.add", "Trust a publisher's signatures, for your user account", "write", AddInput, Done, _add)
LIST = Operation("trust.list", "The publishers that you trust", "read", Nothing, Listed, _list)
SHOW = Operation("trust.show", "A publisher's keys, namespaces and revocations", "read", IdInput, One, _show)
REMOVE = Operation("trust.remove", "Stop trusting a publisher", "write", IdInput, Done, _remove)
REVOKE = Operation(
    "trust.revoke", "Refuse a publisher, a key or a release from now on", "write", RevokeInput, Done, _revoke
)
