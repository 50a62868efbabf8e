"""The vault's file: its bytes, and how each secret is sealed in them. No I/O here.

Each secret is sealed with XSalsa20-Poly1305 (PyNaCl's SecretBox, a random 24-byte nonce each time) together with its
name, class and time, so none can be moved to another name. A keyed BLAKE2b over the whole table shows an entry that was
removed, repeated or added. What neither shows is an old copy of the whole file put back: the key is the same.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from cloned_sdk.host import Refused

KEY_BYTES = 32
Name = Annotated[str, Meta(pattern=r"^[a-z0-9_-]+(\.[a-z0-9_-]+)*\Z", max_length=194)]
SecretClass = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]*\Z", max_length=60)]


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """One secret. `sealed` holds a `Content` in base64."""

    name: Name
    secret_class: SecretClass
    changed_at: str
    sealed: bytes


class Content(Struct, frozen=True, forbid_unknown_fields=True):
    """What is sealed: the value and what stands in the open beside it."""

    name: str
    secret_class: str
    changed_at: str
    value: bytes


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """The file: entries sorted by name, and the keyed hash over them."""

    entries: list[Entry]
    mac: str
    schema_version: Literal[1] = 1


Entries = Mapping[str, Entry]


def seal(key: bytes, content: Content) -> Entry:
    """Seal one secret under a fresh nonce."""
    sealed = SecretBox(_derived(key, b"seal")).encrypt(msgspec.json.encode(content))
    return Entry(content.name, content.secret_class, content.changed_at, bytes(sealed))


def unseal(key: bytes, entry: Entry) -> bytes:
    """The value. Raises Refused VAULT_DAMAGED where it was not sealed so, with this key, under this name."""
    try:
        content = msgspec.json.decode(SecretBox(_derived(key, b"seal")).decrypt(entry.sealed), type=Content)
    except (CryptoError, ValueError, msgspec.MsgspecError) as error:
        raise _damaged(f"the secret {entry.name} does not open with this key") from error
    if (content.name, content.secret_class, content.changed_at) != (entry.name, entry.secret_class, entry.changed_at):
        raise _damaged(f"what is kept under {entry.name} was sealed for another place")
    return content.value


def pack(key: bytes, entries: Entries) -> bytes:
    """The file's bytes."""
    ordered = [entries[name] for name in sorted(entries)]
    return msgspec.json.encode(Table(ordered, _mac(key, ordered)), order="deterministic") + b"\n"


def unpack(key: bytes, data: bytes) -> dict[str, Entry]:
    """The entries by name. Raises Refused VAULT_DAMAGED for bytes that `pack` did not write with this key."""
    try:
        table = msgspec.json.decode(data, type=Table)
    except msgspec.MsgspecError as error:
        raise _damaged("the vault's file is not one") from error
    entries = {entry.name: entry for entry in table.entries}
    # Compared as a whole, not by its hash alone: base64 and JSON have several spellings for the same value.
    if not hmac.compare_digest(pack(key, entries), data):
        raise _damaged("the vault's file was changed, or the key beside it is another one")
    return entries


def _mac(key: bytes, entries: list[Entry]) -> str:
    told = msgspec.json.encode(entries, order="deterministic")
    return hashlib.blake2b(told, key=_derived(key, b"table"), digest_size=32).hexdigest()


def _derived(key: bytes, use: bytes) -> bytes:
    """A key of its own for each use."""
    return hashlib.blake2b(b"", key=key, person=b"cloned." + use, digest_size=SecretBox.KEY_SIZE).digest()


def _damaged(fact: str) -> Refused:
    return Refused("VAULT_DAMAGED", fact)
