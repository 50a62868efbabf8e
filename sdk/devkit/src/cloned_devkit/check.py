"""Judge a wheel, or a folder packed in memory, by the one rulebook that intake uses too. Writes nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloned_devkit import files, pack
from cloned_devkit.mistakes import repair_of
from cloned_trust import places, rulebook, wheelzip
from cloned_trust.verdict import Finding

_MAX_SIGNATURE = 1 << 20


@dataclass(frozen=True, slots=True)
class Report:
    """What the rulebook found about the wheel `subject`, refusals first."""

    subject: str
    findings: tuple[Finding, ...]

    @property
    def accepted(self) -> bool:
        """Whether nothing refuses it; notices do not."""
        return not any(finding.refuses for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "subject": self.subject,
            "accepted": self.accepted,
            "findings": [
                {
                    "error_id": one.error_id,
                    "subject": one.subject,
                    "detail": one.detail,
                    "severity": one.severity,
                    "repair": repair_of(one.error_id),
                }
                for one in self.findings
            ],
        }


def check(target: Path) -> Report:
    """Judge a wheel with the signature beside it, or the plugin in a folder (unsigned). Raises Mistake."""
    if target.is_dir():
        packed = pack.pack(target)
        return _report(packed.name, packed.data, None)
    beside = target.with_name(f"{target.name}{places.SIGNATURE_SUFFIX}")
    signature = files.read(beside, _MAX_SIGNATURE) if beside.is_symlink() or beside.exists() else None
    return _report(target.name, files.read(target, wheelzip.MAX_ARCHIVE), signature)


def _report(name: str, data: bytes, signature: bytes | None) -> Report:
    findings = rulebook.check(data, name, signature)
    return Report(name, tuple(sorted(findings, key=lambda finding: not finding.refuses)))
