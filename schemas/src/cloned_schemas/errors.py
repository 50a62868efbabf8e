"""What can go wrong: the registry of error ids, and the errors that are raised by them, in families by who must act.

Whose fault each is, what a script and a surface see of it, and how it is mended stands in errors.json alone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

FAMILIES = ("user_mistake", "approval_required", "policy_denied", "trust_refused", "unavailable", "plugin_fault")


@dataclass(frozen=True, slots=True)
class ErrorSpec:
    """One error id. `exit_code` is its family's; `repair` is the next step in general, a message may be more exact."""

    id: str
    family: str
    exit_code: int
    http_status: int
    mcp_code: int
    title: str
    repair: str


@cache
def registry() -> dict[str, ErrorSpec]:
    """Every error id with its specification, read from errors.json."""
    rows = json.loads(Path(__file__).with_name("errors.json").read_bytes())
    families = rows["families"]
    return {
        row["id"]: ErrorSpec(
            id=row["id"],
            family=row["family"],
            title=row["title"],
            repair=row["repair"],
            exit_code=families[row["family"]]["exit_code"],
            http_status=row.get("http_status", families[row["family"]]["http_status"]),
            mcp_code=families[row["family"]]["mcp_code"],
        )
        for row in rows["errors"]
    }


def spec(error_id: str) -> ErrorSpec:
    """The specification of an error id. Raises LookupError for one that is not registered."""
    try:
        return registry()[error_id]
    except KeyError:
        raise LookupError(
            f"error id {error_id} is not in errors.json; add it there with family, title and repair"
        ) from None


class ClonedError(Exception):
    """The root. Raised as one of the families below, with the fact and its subject in one sentence.

    `repair` is the next step, the registry's where the raiser knows none more exact; `details` are JSON values for
    programs. Raises ValueError when the id belongs to another family, LookupError when it is registered nowhere.
    """

    family = ""

    def __init__(
        self, error_id: str, fact: str, *, repair: str | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        self.spec: ErrorSpec = spec(error_id)
        if self.spec.family != self.family:
            raise ValueError(f"{error_id} is of family {self.spec.family}, not {self.family or 'the root'}")
        self.fact = fact
        self.repair = repair or self.spec.repair
        self.details: Mapping[str, Any] = dict(details or {})
        super().__init__(f"{error_id}: {fact}; {self.repair}")

    @property
    def id(self) -> str:
        """The error id, e.g. WORKER_DIED."""
        return self.spec.id


class UserMistake(ClonedError):  # noqa: N818 - a family is named for who must act
    """The command or the file must change."""

    family = "user_mistake"


class ApprovalRequired(ClonedError):  # noqa: N818 - a family is named for who must act
    """A person must decide first."""

    family = "approval_required"


class PolicyDenied(ClonedError):  # noqa: N818 - a family is named for who must act
    """The rules say no; their owner decides."""

    family = "policy_denied"


class TrustRefused(ClonedError):  # noqa: N818 - a family is named for who must act
    """Something is not what a trusted party signed; the operator decides."""

    family = "trust_refused"


class Unavailable(ClonedError):  # noqa: N818 - a family is named for who must act
    """Something that is needed cannot be had now; try again, or mend the machine."""

    family = "unavailable"


class PluginFault(ClonedError):  # noqa: N818 - a family is named for who must act
    """A plugin broke its contract; its author must act."""

    family = "plugin_fault"


_FAMILIES: dict[str, type[ClonedError]] = {
    kind.family: kind for kind in (UserMistake, ApprovalRequired, PolicyDenied, TrustRefused, Unavailable, PluginFault)
}


def error_for(
    error_id: str, fact: str, *, repair: str | None = None, details: Mapping[str, Any] | None = None
) -> ClonedError:
    """The error of an id, in its family's class. Raises LookupError for an id that is registered nowhere."""
    return _FAMILIES[spec(error_id).family](error_id, fact, repair=repair, details=details)


def raise_for(
    error_id: str, fact: str, *, repair: str | None = None, details: Mapping[str, Any] | None = None
) -> NoReturn:
    """Raise the error of an id, in its family's class."""
    raise error_for(error_id, fact, repair=repair, details=details)
