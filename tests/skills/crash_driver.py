"""A process that runs or resumes a pipeline and kills itself at the N-th announcement of a named step.

Reads one JSON object from standard input: root, config, state, data (paths), kill ([name, N] or null), and either
pipeline with inputs or resume (a run id). Prints the run's state and id, if it lives to.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from cloned.workspace import Workspace
from cloned_storage.layout import Places, UserPlaces

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.skills.bench import Bench


def _kill_at(name: str, count: int) -> None:
    left = [count]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "cloned.step" and arguments[0] == name:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def main() -> None:
    wanted = json.load(sys.stdin)
    user = UserPlaces(Path(wanted["config"]), Path(wanted["state"]), Path(wanted["data"]))
    with Workspace.open(Places(Path(wanted["root"])), user) as workspace:
        skills = Bench(workspace)
        skills.operations()
        if wanted["kill"]:
            _kill_at(*wanted["kill"])
        answer = (
            skills.resume(wanted["resume"])
            if "resume" in wanted
            else skills.run(wanted["pipeline"], **wanted["inputs"])
        )
        print(json.dumps({"state": answer.state, "run_id": answer.run_id}))


main()
