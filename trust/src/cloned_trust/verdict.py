"""What every judgement here answers with. Owns the shape of a finding; decides nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["refuse", "notice"]

_LONGEST = 600


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about one subject.

    `error_id` stands in the registry of errors, which holds the repair. `subject` and `detail` may quote hostile
    names: both are made printable ASCII of at most 600 characters here, once, so that no terminal, log or agent
    reads more than a fact in them.
    """

    error_id: str
    subject: str
    detail: str
    severity: Severity = "refuse"

    def __post_init__(self) -> None:
        for field in ("subject", "detail"):
            object.__setattr__(self, field, shown(getattr(self, field)))

    @property
    def refuses(self) -> bool:
        """Whether what was judged must not be used."""
        return self.severity == "refuse"


class Refusal(Exception):  # noqa: N818 - it is a verdict on its way to a top-level function, not an error
    """Carries the finding that ends a judgement. The top-level functions of this package turn it into a verdict."""

    def __init__(self, error_id: str, subject: str, detail: str) -> None:
        self.finding = Finding(error_id, subject, detail)
        super().__init__(f"{error_id}: {self.finding.subject}: {self.finding.detail}")


def refuse_first(findings: Iterable[Finding]) -> None:
    """Raise Refusal with the first finding that refuses, if there is one."""
    for finding in findings:
        if finding.refuses:
            raise Refusal(finding.error_id, finding.subject, finding.detail)


def shown(value: str) -> str:
    """A text as printable ASCII, everything else escaped, cut at 600 characters."""
    printable = "".join(char if " " <= char <= "~" else ascii(char)[1:-1] for char in value[:_LONGEST])
    return printable if len(printable) <= _LONGEST and len(value) <= _LONGEST else f"{printable[: _LONGEST - 3]}..."
