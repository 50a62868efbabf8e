"""The operation that looks for what is wrong here. A finding says what, why it matters and which command mends it."""

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import msgspec

from cloned.monitor import approvals
from cloned_operations.context import Context
from cloned_schemas.errors import ClonedError
from cloned_sdk.host import CheckFinding, Operation
from cloned_workers import sandbox

LOW_DISK_BYTES = 500 << 20
OK: Final = "ok"
NOTICE: Final = "notice"
WARNING: Final = "warning"
PROBLEM: Final = "problem"


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No inputs."""


class Report(msgspec.Struct, frozen=True):
    """Findings, worst first, and how many are problems."""

    findings: list[dict[str, Any]]
    problems: int


def _run(context: Context, _: Nothing) -> Report:
    findings = [*_environment(), *_workspace(context)]
    order = {PROBLEM: 0, WARNING: 1, NOTICE: 2, OK: 3}
    findings.sort(key=lambda found: (order[found.level], found.check))
    return Report([asdict(found) for found in findings], sum(found.level == PROBLEM for found in findings))


def _environment() -> Iterator[CheckFinding]:
    yield CheckFinding("environment.python", OK, f"Python {sys.version.split()[0]}")
    yield _sqlite()
    report = sandbox.probe()
    if report.level == "sandbox":
        yield CheckFinding("environment.sandbox", OK, f"workers run in {report.level}")
    else:
        yield CheckFinding(
            "environment.sandbox", PROBLEM, "; ".join(report.reasons) or "no sandbox",
            "workers are not started without it", "apt-get install bubblewrap",
        )  # fmt: skip
    if os.geteuid() == 0:
        yield CheckFinding(
            "environment.root", WARNING, "running as root",
            "a sandbox that fails would fail as root", "run cloned as an ordinary user",
        )  # fmt: skip
    for path in _startup_code():
        yield CheckFinding(
            "environment.startup", NOTICE, f"{path.name} runs code whenever this Python starts",
            "what pip installs can run there before Cloned can verify anything", f"look at {path}",
        )  # fmt: skip


def _sqlite() -> CheckFinding:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info >= (3, 35):
        return CheckFinding("environment.sqlite", OK, f"SQLite {version}")
    repair = "use a Python with SQLite 3.35 or newer"
    return CheckFinding(
        "environment.sqlite", PROBLEM, f"SQLite {version}", "too old for safe concurrent writes", repair
    )


def _startup_code() -> Iterator[Path]:
    for folder in {Path(entry) for entry in sys.path if entry.endswith("site-packages")}:
        yield from (path for name in ("sitecustomize.py", "usercustomize.py") if (path := folder / name).exists())
        for path in sorted(folder.glob("*.pth")):
            if any(line.startswith(("import ", "import\t")) for line in path.read_text(errors="replace").splitlines()):
                yield path


def _workspace(context: Context) -> Iterator[CheckFinding]:
    try:
        if not context.inside_workspace:
            yield CheckFinding("workspace", NOTICE, "no workspace here", "", "cloned init --type personal")
            return
        context.workspace  # noqa: B018 - opening it is the first check
    except ClonedError as error:
        yield CheckFinding("workspace", PROBLEM, error.fact, error.spec.title, error.repair)
        return
    yield from _opened(context)


def _opened(context: Context) -> Iterator[CheckFinding]:
    workspace = context.workspace
    checks: Sequence[tuple[str, Callable[[], str]]] = (
        ("workspace.accepted", lambda: _accepted(context)),
        ("audit.chain", lambda: _audit(context)),
        ("approvals.chain", lambda: _approvals(context)),
        ("policy.resolves", lambda: _policy(context)),
    )
    for name, check in checks:
        try:
            yield CheckFinding(name, OK, check())
        except ClonedError as error:
            yield CheckFinding(name, PROBLEM, error.fact, error.spec.title, error.repair)
    yield from _plugins(context)
    yield from _recovered(context)
    yield _disk(workspace.places.root)


def _plugins(context: Context) -> Iterator[CheckFinding]:
    try:
        verdicts, findings = context.workspace.verdicts(), context.workspace.plugin_checks()
    except ClonedError as error:
        yield CheckFinding("plugins.verdicts", PROBLEM, error.fact, error.spec.title, error.repair)
        return
    for verdict in verdicts:
        if verdict.state == "refused":
            yield CheckFinding(
                f"plugin.{verdict.plugin_id}", PROBLEM, f"{verdict.error_id}: {verdict.reason}",
                "nothing of it runs", verdict.refusal().repair,
            )  # fmt: skip
        elif verdict.state == "enabled" and verdict.plugin and verdict.plugin.manifest.execution == "kernel":
            yield CheckFinding(
                f"plugin.{verdict.plugin_id}", OK, "verified; runs in Cloned's own process, as trusted as Cloned"
            )
        elif verdict.state == "enabled":
            yield CheckFinding(f"plugin.{verdict.plugin_id}", OK, "verified")
    yield from findings


def _accepted(context: Context) -> str:
    context.workspace.accepted.check()
    return "files are as a person accepted them"


def _audit(context: Context) -> str:
    from cloned_operations.audit import VERIFY  # noqa: PLC0415
    from cloned_operations.audit import Nothing as NoInput  # noqa: PLC0415 - one proof of the chain, in one place

    return f"{VERIFY.handler(context, NoInput()).entries} entries, unbroken"


def _approvals(context: Context) -> str:
    with context.workspace.database.read() as connection:
        return f"{approvals.verify(connection)} rows, unbroken"


def _policy(context: Context) -> str:
    policy = context.workspace.authority.read_policy()
    return f"{policy.pack.pack_id} is in force" if policy else "no pack is in force: every call is denied"


def _recovered(context: Context) -> Iterator[CheckFinding]:
    found = context.workspace.recovered
    if found.released or found.ambiguous or found.recorded:
        told = f"{found.released} calls given back, {found.ambiguous} ambiguous, {found.recorded} outcomes recorded"
        repair = "cloned audit tail"
        yield CheckFinding("calls.recovered", NOTICE, told, "a process had ended in the middle of calls", repair)


def _disk(root: Path) -> CheckFinding:
    free = shutil.disk_usage(root).free
    if free >= LOW_DISK_BYTES:
        return CheckFinding("environment.disk", OK, f"{free >> 20} MiB free")
    return CheckFinding(
        "environment.disk",
        WARNING,
        f"{free >> 20} MiB free",
        "without space for the audit nothing runs",
        f"df -h {root}",
    )


RUN = Operation("doctor.run", "Look for what is wrong here and how to mend it", "read", Nothing, Report, _run)
