"""What a publisher's record gives: its keys, and what it may sign. Refuses weak, repeated and renamed keys."""

from collections.abc import Iterator, Sequence

from cloned_schemas.manifest import Manifest
from cloned_schemas.trust import Publisher
from cloned_trust.keys import PublicKey
from cloned_trust.verdict import Finding, Refusal


def key_set(publisher: Publisher) -> tuple[PublicKey, ...]:
    """The keys whose signatures count now, in the record's order.

    A key with `valid_to_seq` is retired: nothing that we read proves when a signature was made, so it counts for
    none. Raises Refusal: KEY_MALFORMED (also for a key id that is not the key's), KEY_WEAK, KEY_REPEATED.
    """
    keys: list[PublicKey] = []
    for entry in publisher.keys:
        key = PublicKey.from_base64(entry.public)
        if entry.keyid != key.keyid:
            raise Refusal("KEY_MALFORMED", publisher.publisher_id, f"key {key.keyid} is listed as {entry.keyid}")
        if key in keys:
            raise Refusal("KEY_REPEATED", publisher.publisher_id, f"key {key.keyid} stands twice")
        keys.append(key)
    retired = {entry.keyid for entry in publisher.keys if entry.valid_to_seq is not None}
    return tuple(key for key in keys if key.keyid not in retired)


def find(publishers: Sequence[Publisher], publisher_id: str) -> Publisher:
    """The one record of a trusted, active publisher. Raises Refusal: PUBLISHER_UNTRUSTED or PUBLISHER_SUSPENDED."""
    found = [publisher for publisher in publishers if publisher.publisher_id == publisher_id]
    if len(found) != 1:
        detail = "no record of it is trusted here" if not found else "two records of it are trusted here"
        raise Refusal("PUBLISHER_UNTRUSTED", publisher_id, detail)
    if found[0].state != "active":
        raise Refusal("PUBLISHER_SUSPENDED", publisher_id, "its record says so")
    return found[0]


def may_sign(publisher: Publisher, manifest: Manifest) -> Iterator[Finding]:
    """What of a release lies outside the publisher's grant: NAMESPACE_NOT_OWNED, EXECUTION_NOT_GRANTED."""
    yield from outside_namespaces(manifest, publisher.namespaces)
    if manifest.execution not in publisher.executions:
        detail = f"{publisher.publisher_id} may not run code as {manifest.execution}"
        yield Finding("EXECUTION_NOT_GRANTED", manifest.id, detail)


def outside_namespaces(manifest: Manifest, namespaces: Sequence[str]) -> Iterator[Finding]:
    """NAMESPACE_NOT_OWNED for the plugin's id and for each tool id whose first label is none of `namespaces`."""
    labels = {manifest.id: manifest.id.split("-")[0], **{tool.id: tool.id.split(".")[0] for tool in manifest.tools}}
    for subject, label in labels.items():
        if label not in namespaces:
            yield Finding("NAMESPACE_NOT_OWNED", subject, f"{label} is none of {', '.join(namespaces)}")
