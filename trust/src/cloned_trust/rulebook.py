"""The one rulebook behind `cloned-sdk check` and intake: all that the gates and the lints find, not the first alone.

Trusts nobody and knows no publisher: whose key signed is judged at install (release.py). Unsigned is a notice here.
"""

import hashlib
from collections.abc import Iterator

from cloned_trust import dsse, lints, manifestgate, release, statement, wheelzip
from cloned_trust.manifestgate import Gate
from cloned_trust.publishers import outside_namespaces
from cloned_trust.statement import Statement
from cloned_trust.verdict import Finding, Refusal


def check(wheel: bytes, wheel_name: str, signature: bytes | None) -> tuple[Finding, ...]:
    """Everything that speaks against a release, as far as it can be read; an empty tuple is the best there is.

    `signature` is the content of its `.cloned.dsse.json`, None where there is none yet. Findings: those of the archive
    and manifest gates, of the statement and of the lints; nothing is raised.
    """
    findings: list[Finding] = []
    try:
        signed = _statement(signature)
        release.about(signed, wheel_name, hashlib.sha256(wheel).hexdigest())
    except Refusal as refusal:
        signed = None
        findings.append(_unsigned(refusal.finding) if signature is None else refusal.finding)
    try:
        members = wheelzip.read(wheel)
    except Refusal as refusal:
        return (*findings, refusal.finding)
    gate = manifestgate.judge(members, wheel_name)
    findings += gate.findings
    if gate.manifest is not None:
        findings += _beyond(gate, signed, wheel_name)
        findings += lints.lint(gate.manifest, members)
    return tuple(findings)


def _statement(signature: bytes | None) -> Statement:
    return statement.parse(dsse.parse(signature, payload_type=statement.PAYLOAD_TYPE).payload)


def _unsigned(finding: Finding) -> Finding:
    return Finding(finding.error_id, finding.subject, finding.detail, "notice")


def _beyond(gate: Gate, signed: Statement | None, wheel_name: str) -> Iterator[Finding]:
    """What needs the manifest and no publisher: namespaces by the plugin's own first label, and the statement."""
    manifest = gate.manifest
    if manifest is None:
        return
    yield from outside_namespaces(manifest, [manifest.id.split("-")[0]])
    contradicted = release.unlike(signed, manifest, gate.manifest_sha256) if signed else ()
    if contradicted:
        detail = f"manifest and statement differ in {', '.join(contradicted)}"
        yield Finding("STATEMENT_INVALID", wheel_name, detail)
