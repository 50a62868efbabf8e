"""The monitor is the only way to a tool: every tool that is offered is called, and none without an intent on record."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cloned.monitor import artifacts
from cloned.workspace import Workspace
from cloned_schemas.errors import Unavailable
from cloned_sdk.host import CallOutcome, CallRequest
from tests.architecture import tree
from tests.architecture.tree import ROOT, Problems, write
from tests.attacks import rogue
from tests.attacks.premises import error_of
from tests.conftest import FIRST_PARTY, PROBES, Desk, Dist, Done, environment

AGENT = "agent:ada"
APPEND = "acme.ledger.append@v1"

# What leads to a tool, and the files that may use it.
WAYS: Mapping[str, frozenset[str]] = {
    "kernel/core/src/cloned/workspace.py": frozenset({"WorkerPool", "workers", "Keeper"}),  # makes them, closes them
    "kernel/core/src/cloned/monitor/artifacts.py": frozenset({"Keeper"}),  # the kernel's own tool
    "kernel/core/src/cloned/monitor/call.py": frozenset({"dispatch()"}),  # the monitor, once the intent is durable
    "kernel/core/src/cloned/monitor/dispatch.py": frozenset({"WorkerPool", "workers", "handler()", "'cloned_tools'"}),
    "kernel/workers/src/cloned_workers/pool.py": frozenset({"WorkerPool", "call_tool"}),
    "kernel/workers/src/cloned_workers/rpc.py": frozenset({"call_tool"}),
    "kernel/core/src/cloned/host/plugins.py": frozenset({"'cloned_tools'"}),  # knows the hook's name and type
    "kernel/operations/src/cloned_operations/table.py": frozenset({"handler()"}),  # of an operation, not of a tool
    "kernel/operations/src/cloned_operations/doctor.py": frozenset({"handler()"}),  # likewise
    "sdk/runtime/src/cloned_sdk/serve.py": frozenset({"handler()"}),  # in the worker's process, behind the sandbox
}
_NAMES = {"WorkerPool", "Keeper"}
_ATTRIBUTES = {"workers", "call_tool"}
_CALLS = {"handler", "dispatch"}


def ways(root: Path, listed: Mapping[str, frozenset[str]] = WAYS) -> Problems:
    """Every use of what leads to a tool outside the listed files, and every listed use that is gone."""
    problems, used = [], set()
    for path in tree.sources(root):
        place = tree.name(root, path)
        for line, what in _uses(tree.parsed(path)):
            used.add((place, what))
            if what not in listed.get(place, ()):
                problems.append(f"{place}:{line} leads to a tool by {what}; ask the monitor")
    idle = {(place, what) for place, every in listed.items() for what in every} - used
    return problems + [f"{place} has no {what} any more; take it off the list" for place, what in sorted(idle)]


def _uses(module: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module):
        match node:
            case ast.ClassDef(name=name) | ast.Name(id=name) | ast.alias(name=name) if name in _NAMES:
                yield node.lineno, name
            case ast.Attribute(attr=name) | ast.FunctionDef(name=name) if name in _ATTRIBUTES | _NAMES:
                yield node.lineno, name
            case ast.Call(func=ast.Attribute(attr=name)) if name in _CALLS:
                yield node.lineno, f"{name}()"
            case ast.Constant(value="cloned_tools"):
                yield node.lineno, "'cloned_tools'"
            case _:
                pass


def test_nothing_but_the_monitor_leads_to_a_tool() -> None:
    assert ways(ROOT) == []


@pytest.mark.parametrize(
    "line",
    [
        "workspace.workers.call(spec, tool_id, {}, 'c1', timeout=1)",
        "from cloned_workers.pool import WorkerPool",
        "pool = cloned_workers.pool.WorkerPool()",
        "worker.call_tool(tool_id, {}, call_id='c1', timeout=1)",
        "found.handler(inputs, context)",
        "plugins.ask('cloned_tools')",
        "from cloned.monitor.artifacts import Keeper",
        "monitor.dispatcher.dispatch(authorized)",
    ],
)
def test_another_way_to_a_tool_is_found(tmp_path: Path, line: str) -> None:
    write(tmp_path, "kernel/operations/src/cloned_operations/a.py", f"{line}\n")
    assert len(ways(tmp_path, {})) == 1


def test_what_only_looks_alike_is_fine(tmp_path: Path) -> None:
    write(tmp_path, "kernel/core/src/cloned/a.py", "monitor.call(request)\nhandler = operation.handler\n")
    assert ways(tmp_path, {}) == []


# Every tool that is offered


def examples(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """The first example of each offered tool's inputs, as its schema gives it."""
    offers = workspace.authority.current().offers
    return {tool_id: dict(found.tool.input_schema["examples"][0]) for tool_id, found in offers.items()}


def called(
    workspace: Workspace, tool_id: str, inputs: Mapping[str, Any], correlation: str
) -> tuple[CallOutcome, list[str]]:
    outcome = workspace.monitor.call(CallRequest(tool_id, dict(inputs), correlation, AGENT))
    every = [entry for _, entry in workspace.audit.entries() if entry.get("call_id") == outcome.call_id]
    assert {entry.get("tool_id") or entry["details"]["tool"] for entry in every} == {tool_id}
    return outcome, [entry["kind"] for entry in every]


def test_every_offered_tool_comes_from_a_manifest_or_is_the_kernels_own(probed: Desk) -> None:
    with probed.open() as workspace:
        offered = set(workspace.authority.current().offers)
        signed = {tool for verdict in workspace.verdicts() if verdict.plugin for tool in verdict.plugin.tools}
        owners = {verdict.plugin_id for verdict in workspace.verdicts() if verdict.plugin}
    assert owners == {*FIRST_PARTY, *PROBES}
    assert offered == signed | {artifacts.SAVE.id}


def test_each_offered_tool_leaves_its_intent_before_and_its_outcome_after(probed: Desk, tmp_path: Path) -> None:
    ended = {}
    with probed.open() as workspace:
        for tool_id, inputs in examples(workspace).items():
            given = inputs | ({"file": str(tmp_path / "ledger")} if "file" in inputs else {})
            outcome, kinds = called(workspace, tool_id, given, "first")
            if outcome.approval_id is not None:
                assert kinds == ["outcome"]
                workspace.decide(outcome.approval_id, "person:ada", "approve", "")
                outcome, kinds = called(workspace, tool_id, given, "first")
            assert kinds == (["outcome"] if outcome.outcome == "blocked" else ["intent", "outcome"])
            ended[tool_id] = outcome.outcome
    assert {tool for tool, how in ended.items() if how == "blocked"} == {
        "acme.probe.reach@v1"
    }  # its host is not allowed
    assert {"cloned.documents.list@v1", "cloned.research.synthesize@v1", APPEND} <= ended.keys()


@pytest.fixture
def mute(probed: Desk) -> Iterator[Workspace]:
    """A workspace whose audit the operating system takes no more writing to."""
    with probed.open() as workspace:
        workspace.audit.append("recovery", actor="kernel")
        descriptor = workspace.audit._log
        assert descriptor is not None
        reading = os.open(workspace.places.audit_log, os.O_RDONLY)
        os.dup2(reading, descriptor)
        os.close(reading)
        yield workspace


def test_where_the_audit_cannot_be_written_no_tool_runs_at_all(mute: Workspace, tmp_path: Path) -> None:
    before, ledger = mute.places.audit_log.read_bytes(), tmp_path / "ledger"
    for tool_id, inputs in examples(mute).items():
        given = inputs | ({"file": str(ledger)} if "file" in inputs else {})
        with pytest.raises(Unavailable, match="AUDIT_UNAVAILABLE"):
            mute.monitor.call(CallRequest(tool_id, given, str(uuid4()), AGENT))
    assert not ledger.exists()
    assert list(mute.places.artifacts.iterdir()) == []
    assert mute.workers._warm == {}
    assert mute.places.audit_log.read_bytes() == before


def test_where_no_decision_can_be_recorded_none_counts(mute: Workspace, probed: Desk) -> None:
    with probed.open() as able:
        asked = able.monitor.call(CallRequest("acme.probe.publish@v1", {"text": "x"}, "one", AGENT))
    with pytest.raises(Unavailable, match="AUDIT_UNAVAILABLE"):
        mute.decide(str(asked.approval_id), "person:ada", "approve", "")
    [row] = probed.ask("approvals.list").approvals
    assert row["state"] == "pending"


def _limited(desk: Desk, limit: int, *arguments: str) -> Done:
    """The command `cloned`, which may make no file larger than this many bytes."""
    begin = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    line = [sys.executable, "-c", f"{begin}; from cloned_cli.main import main; main({list(arguments)!r})"]
    done = subprocess.run(
        line, cwd=desk.root, env=environment(desk.root.parent / "home"), capture_output=True, check=False
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_a_person_whose_disk_takes_no_more_of_the_audit_is_told_so(tmp_path: Path, dist: Dist) -> None:
    desk = rogue.furnish(tmp_path, dist, rogue.worker())
    with desk.open() as workspace:  # the audit becomes the largest file, so that the limit meets nothing else
        workspace.audit.append_many([{"kind": "recovery", "actor": "x" * 3000} for _ in range(1500)])
    before = desk.places.audit_log.read_bytes()
    limit = len(before) + 100
    refused = _limited(desk, limit, "run", "pipeline.rogue.save", "--json")
    assert (refused.code, error_of(refused)["id"]) == (6, "AUDIT_UNAVAILABLE")
    assert desk.places.audit_log.read_bytes() == before
    assert list(desk.places.artifacts.iterdir()) == []
    assert _limited(desk, limit + 100_000, "run", "pipeline.rogue.save", "--json").code == 0
    assert len(list(desk.places.artifacts.iterdir())) == 1
