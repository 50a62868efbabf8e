"""Install one release in a process of its own: `ROOT FOLDER WHEEL [kill|pause STEP]`, ended or held at a named step."""

import os
import signal
import sys
from pathlib import Path

from cloned_schemas.trust import Publisher, Revocations
from cloned_storage.store import Store
from cloned_trust.release import judge_release


def main() -> None:
    root, folder, wheel_name, *how = sys.argv[1:]
    if how:
        sys.addaudithook(lambda event, args: at(how, args[0]) if event == "cloned.step" else None)
    wheel = Path(folder, wheel_name).read_bytes()
    signature = Path(folder, f"{wheel_name}.cloned.dsse.json").read_bytes()
    publisher = Publisher.model_validate_json(Path(folder, "publisher.json").read_bytes())
    verdict = judge_release(
        wheel=wheel, wheel_name=wheel_name, signature=signature, publishers=[publisher], revocations=Revocations()
    )
    assert verdict.release is not None, verdict.findings
    Store(Path(root)).put(verdict.release, signature)


def at(how: list[str], step: str) -> None:
    if step != how[1]:
        return
    if how[0] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    print(step, flush=True)  # noqa: T201 - how the test learns that it is paused
    sys.stdin.readline()


main()
