"""Operations on the audit: read its end, read one entry, prove that it is whole."""

from collections import deque
from typing import Any

import msgspec

from cloned_operations.context import Context
from cloned_schemas.errors import UserMistake, error_for
from cloned_sdk.host import Operation


class TailInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many entries, counted from the end."""

    count: int = 20


class Entries(msgspec.Struct, frozen=True):
    """Audit entries, oldest first."""

    entries: list[dict[str, Any]]


class ShowInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`id` is a sequence number, an entry's id or a call's id (then every entry of that call)."""

    id: str


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No inputs."""


class Verified(msgspec.Struct, frozen=True):
    """A whole chain: how many entries, and the hash of the last, to be kept elsewhere."""

    entries: int
    head: str
    torn_bytes: int
    notice: str | None = None


def _tail(context: Context, wanted: TailInput) -> Entries:
    kept: deque[dict[str, Any]] = deque(maxlen=max(1, wanted.count))
    kept.extend(entry for _, entry in context.workspace.audit.entries(0))
    return Entries(list(kept))


def _show(context: Context, wanted: ShowInput) -> Entries:
    found = [
        entry
        for _, entry in context.workspace.audit.entries(0)
        if wanted.id in {str(entry.get("seq")), entry.get("id"), entry.get("call_id")}
    ]
    if not found:
        raise UserMistake("USAGE", f"no audit entry has the number or id {wanted.id}")
    return Entries(found)


def _verify(context: Context, _: Nothing) -> Verified:
    verdict = context.workspace.audit.verify()
    broken = [finding for finding in verdict.findings if finding.severity == "refuse"]
    if broken:
        first = broken[0]
        where = f"line {verdict.first_bad_line} of audit.log" if verdict.first_bad_line else "audit.log"
        details = {"line": verdict.first_bad_line, "entries_before": verdict.entries}
        raise error_for(first.error_id, f"{where}: {first.detail}", details=details)
    torn = len(verdict.torn or b"")
    notice = f"the last {torn} bytes were not written to their end; the next entry keeps them aside" if torn else None
    return Verified(verdict.entries, verdict.head.hex(), torn, notice)


TAIL = Operation("audit.tail", "The last entries of the audit", "read", TailInput, Entries, _tail)
SHOW = Operation("audit.show", "The entries of one call, or one entry", "read", ShowInput, Entries, _show)
VERIFY = Operation(
    "audit.verify", "Prove that no entry was changed, removed or inserted", "read", Nothing, Verified, _verify
)
