"""Make one governed call in a process that ends by SIGKILL at a named step: ROOT STEP NTH TOOL FILE."""

import os
import signal
import sys
from pathlib import Path

from cloned.workspace import Workspace
from cloned_sdk.host import CallRequest
from cloned_storage.layout import Places, UserPlaces

CALLER, CORRELATION = "agent:ada", "the-call"


def request(tool_id: str, file: str) -> CallRequest:
    return CallRequest(tool_id, {"file": file, "line": "once"}, CORRELATION, CALLER)


def die_at(step: str, nth: int) -> None:
    """From now on, the nth announcement of this step is the last thing that the process does."""
    left = nth

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event == "cloned.step" and arguments[0] == step:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def main() -> None:
    root, step, nth, tool_id, file = sys.argv[1:]
    workspace = Workspace.open(Places(Path(root)), UserPlaces.from_environment(os.environ))
    die_at(step, int(nth))
    outcome = workspace.monitor.call(request(tool_id, file))
    sys.stdout.write(outcome.outcome)


if __name__ == "__main__":
    main()
