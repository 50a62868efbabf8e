"""Another process at work: ROOT VERB ARGUMENTS. It says `ready`, begins at a line of input, and tells in JSON.

`calls FILE COUNT` appends lines one after the other; `spend FILE THREADS NAME` appends from as many threads at once;
`decide` approves everything that waits; `until FILE` appends until twenty calls in a row were refused, or a second
line of input; `install FOLDER PLUGIN` is a person's doing.
"""

import json
import os
import select
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cloned.monitor import approvals
from cloned.workspace import Workspace
from cloned_schemas.errors import ClonedError
from cloned_sdk.host import CallOutcome, CallRequest
from cloned_storage.layout import Places, UserPlaces
from tests.conftest import Desk

APPEND, OFFER = "acme.ledger.append@v1", "acme.ledger.offer@v1"
ENOUGH = 20


def line(tool_id: str, file: str | Path, correlation: str, caller: str = "agent:ada", text: str = "") -> CallRequest:
    """A call that leaves one line in a file."""
    return CallRequest(tool_id, {"file": str(file), "line": text or correlation}, correlation, caller)


def at_once(count: int, call: Callable[[int], CallOutcome]) -> list[CallOutcome]:
    """What as many threads as calls get that all begin at the same moment."""
    barrier = threading.Barrier(count)

    def begin(number: int) -> CallOutcome:
        barrier.wait()
        return call(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def calls(workspace: Workspace, file: str, count: str) -> Any:
    return [workspace.monitor.call(line(APPEND, file, f"{os.getpid()}-{n}")).outcome for n in range(int(count))]


def spend(workspace: Workspace, file: str, threads: str, name: str) -> Any:
    ended = at_once(int(threads), lambda n: workspace.monitor.call(line(APPEND, file, f"{name}-{n}")))
    return [[outcome.outcome, outcome.error_id] for outcome in ended]


def decide(workspace: Workspace) -> Any:
    with workspace.database.read() as connection:
        waiting = approvals.listed(connection, workspace.clock.now(), pending_only=True)
    told = {}
    for request in waiting:
        try:
            workspace.decide(request.request_id, f"person:{os.getpid()}", "approve", "")
            told[request.request_id] = "decided"
        except ClonedError as error:
            told[request.request_id] = error.id
    return told


def until(workspace: Workspace, file: str) -> Any:
    told: list[str] = []
    while told[-ENOUGH:] != ["blocked"] * ENOUGH and not select.select([sys.stdin], [], [], 0)[0]:
        told.append(workspace.monitor.call(line(APPEND, file, f"{os.getpid()}-{len(told)}")).outcome)
        if len(told) == ENOUGH:
            say("under way")
    return told


def say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main() -> None:
    root, verb, *arguments = sys.argv[1:]
    user = UserPlaces.from_environment(os.environ)
    if verb == "install":
        folder, plugin_id = arguments
        Desk(Path(root), user).ask("plugin.install", **{"id": plugin_id, "from": folder, "enable": True})
        return
    verbs: dict[str, Callable[..., Any]] = {"calls": calls, "spend": spend, "decide": decide, "until": until}
    with Workspace.open(Places(Path(root)), user) as workspace:
        say("ready")
        sys.stdin.readline()
        told = verbs[verb](workspace, *arguments)
    say(told)


if __name__ == "__main__":
    main()
