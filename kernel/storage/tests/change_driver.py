"""Runs changes of a workspace in a process of its own, which may be told to end itself at a named step.

change_driver.py ROOT HOME change NAME [STEP [COUNT]]    one change; SIGKILL at the COUNTth STEP
change_driver.py ROOT HOME recover [STEP]
change_driver.py ROOT HOME add NAME TIMES    read, change, write, again and again beside other processes
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from cloned_schemas.errors import Unavailable
from cloned_storage.accepted import AcceptedStore
from cloned_storage.audit import AuditLog
from cloned_storage.clock import SystemClock
from cloned_storage.layout import Places, UserPlaces
from cloned_storage.redaction import Redactor

ID = "01890a5d-ac96-774b-bcce-b302099a8057"


class Opened:
    def __init__(self, root: Path, home: Path) -> None:
        self.places = Places(root)
        self.store = AcceptedStore(self.places, UserPlaces.from_environment({"HOME": str(home)}), SystemClock(), ID)
        self.audit = AuditLog(self.places, SystemClock(), ID, Redactor(b"salt"))

    def append(self, kind: str, details: dict[str, Any], change_id: str) -> None:
        self.audit.append(kind, actor="person:test", details={**details, "change_id": change_id})

    def seen(self, change_id: str) -> bool:
        return any((entry.get("details") or {}).get("change_id") == change_id for _, entry in self.audit.entries())

    def change(self, name: str) -> None:
        places = self.places
        files = {path: f"made: by {name}\n".encode() for path in (places.config, places.registry, places.lock)}
        overlay = places.policy / "personal.yaml"
        files[overlay] = f"made: by {name}\n".encode()
        folders = {"cloned-x": {"docs": f"/{name}"}}
        self.store.change(files, folders, "workspace", {"by": name}, self.append, based_on=self.store.proposed())

    def add(self, name: str, times: int) -> None:
        for number in range(times):
            done = False
            while not done:
                shown = self.store.proposed()
                after = {self.places.registry: shown.files["registry.yaml"] + f"- {name}{number}\n".encode()}
                try:
                    self.store.change(after, None, "workspace", {}, self.append, based_on=shown)
                    done = True
                except Unavailable as moved:
                    if moved.id != "WORKSPACE_MOVED":
                        raise


def end_at(step: str, count: int) -> None:
    left = [count]

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "cloned.step" and args[0] == step:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def main(root: str, home: str, what: str, *words: str) -> None:
    opened = Opened(Path(root), Path(home))
    if what == "add":
        opened.add(words[0], int(words[1]))
    elif what == "recover":
        if words:
            end_at(words[0], 1)
        opened.store.recover(opened.append, opened.seen)
    else:
        if len(words) > 1:
            end_at(words[1], int(words[2]) if len(words) > 2 else 1)
        opened.change(words[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
