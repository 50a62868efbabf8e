"""The provider: names to secrets, kept in one sealed file. Holds no value and no key longer than a call.

For development only: whoever can read the user's files has the key, which lies beside what it opens.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime

import cloned_sdk.host
from cloned_sdk.host import CheckFinding, Refused
from cloned_vault_file.places import Places
from cloned_vault_file.sealed import Content, Entry, pack, seal, unpack, unseal

CHECK = "cloned.vault.file"
MAX_VALUE = 64 * 1024
MAX_SECRETS = 1000
WARNING = "the file vault is for development only: its key lies beside it, so whoever reads this user's files has both"
REPAIR = "install a vault plugin for this machine's keyring or your key service and set vault.provider in config.yaml"
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_CLASS = re.compile(r"[a-z][a-z0-9_-]{0,59}")


class FileVault:
    """Implements `cloned_sdk.host.VaultProvider` in the folder that `folder` gives when it is first needed."""

    def __init__(self, folder: Callable[[], Places], now: Callable[[], datetime]) -> None:
        self._places = folder
        self._now = now

    @property
    def name(self) -> str:
        """`file`."""
        return "file"

    def status(self) -> CheckFinding:
        """A warning at best, whatever its state: nobody shall take this for a vault."""
        try:
            kept = len(self._entries(self._places()))
        except Refused as refusal:
            return CheckFinding(CHECK, "problem", refusal.fact, WARNING, refusal.repair or "restore it from a backup")
        return CheckFinding(CHECK, "warning", f"DEVELOPMENT ONLY: {kept} secrets in a file", WARNING, REPAIR)

    def names(self) -> Sequence[tuple[str, str, str]]:
        """(name, class, time of the last change), by name. Raises Refused VAULT_DAMAGED, VAULT_UNREACHABLE."""
        entries = self._entries(self._places())
        return [(entry.name, entry.secret_class, entry.changed_at) for _, entry in sorted(entries.items())]

    def read(self, name: str) -> bytes:
        """The value. Raises Refused SECRET_UNKNOWN, VAULT_DAMAGED, VAULT_UNREACHABLE."""
        places = self._places()
        entry = self._entries(places).get(name)
        key = places.read_key()
        if entry is None or key is None:
            raise _unknown(name)
        return unseal(key, entry)

    def write(self, name: str, value: bytes, secret_class: str) -> None:
        """Keep a value, durably before it returns.

        Raises Refused SECRET_REF for a name or class that is none, INPUT_TOO_LARGE over 64 KiB or 1,000 secrets.
        """
        if len(name) > 194 or not _NAME.fullmatch(name) or not _CLASS.fullmatch(secret_class):  # noqa: PLR2004 - 200 with "vault:"
            raise Refused(
                "SECRET_REF", "a secret's name is lower case letters, digits, '-', '_' and '.', its class a word"
            )
        if not 0 < len(value) <= MAX_VALUE:
            raise Refused("INPUT_TOO_LARGE", f"a secret has 1 to {MAX_VALUE} bytes, this one {len(value)}")
        places = self._places()
        with places.writing():
            entries = self._entries(places)
            if name not in entries and len(entries) >= MAX_SECRETS:
                raise Refused("INPUT_TOO_LARGE", f"the file vault holds {MAX_SECRETS} secrets at most")
            key = places.read_key() or places.make_key()
            content = Content(name, secret_class, self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"), value)
            places.write_table(pack(key, entries | {name: seal(key, content)}))

    def remove(self, name: str) -> None:
        """Forget a value. Raises Refused SECRET_UNKNOWN."""
        places = self._places()
        with places.writing():
            entries = self._entries(places)
            key = places.read_key()
            if name not in entries or key is None:
                raise _unknown(name)
            del entries[name]
            places.write_table(pack(key, entries))

    def _entries(self, places: Places) -> dict[str, Entry]:
        table = places.read_table()
        if table is None:
            return {}
        key = places.read_key()
        if key is None:
            raise Refused("VAULT_DAMAGED", "the file vault has secrets and no key", repair=f"restore {places.key}")
        return unpack(key, table)


def _unknown(name: str) -> Refused:
    return Refused("SECRET_UNKNOWN", f"there is no secret {name[:200]!r} in the file vault")


_implements: type[cloned_sdk.host.VaultProvider] = FileVault
