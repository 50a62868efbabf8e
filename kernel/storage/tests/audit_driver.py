"""A process of its own for the audit's tests: appends as told, and ends, or lets the machine fail, at a named step.

Usage: audit_driver.py ROOT NAME APPENDS [THREADS] [kill:STEP | close:STEP | exit:STEP | limit:BYTES | swap:]
"""

import contextlib
import fcntl
import os
import resource
import signal
import sys
import threading
from pathlib import Path

from cloned_schemas.errors import ClonedError
from cloned_storage.audit import AuditLog
from cloned_storage.clock import SystemClock
from cloned_storage.layout import Places
from cloned_storage.redaction import Redactor


def main(root: str, name: str, appends: str, *rest: str) -> int:
    places = Places(Path(root))
    log = AuditLog(places, SystemClock(), "01900000-0000-7000-8000-000000000000", Redactor(b"salt"))
    fault, _, subject = (rest[1] if len(rest) > 1 else "").partition(":")
    if fault == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(subject), resource.RLIM_INFINITY))
    elif fault == "swap":
        sys.addaudithook(Swap(places.audit_lock))
    elif fault:
        faults = [fault]
        reached = ("cloned.step", (subject,))
        sys.addaudithook(lambda event, told: fail(log, faults.pop()) if faults and (event, told) == reached else None)
    refused: list[str] = []

    def work(thread: int) -> None:
        for number in range(int(appends)):
            try:
                reference = log.append("outcome", actor=f"{name}-{thread}", details={"number": number})
            except ClonedError as error:
                refused.append(error.id)
                continue
            os.write(1, f"{reference.seq} {reference.hash} {name}-{thread} {number}\n".encode())

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(int(rest[0]) if rest else 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(1, f"refused {' '.join(refused)}\nflushes {log.flushes}\n".encode())
    return 0


class Swap:
    """Puts another lock file in the place of the one that is about to be locked, once; tells if that goes unseen."""

    def __init__(self, lock: Path) -> None:
        self.lock, self.swapped = lock, False

    def __call__(self, event: str, told: tuple[object, ...]) -> None:
        if event == "fcntl.flock" and not self.swapped:
            self.swapped = True
            self.lock.unlink()
            self.lock.touch(0o600)
        elif (event, told) == ("cloned.step", ("audit.locked",)):
            with self.lock.open() as file, contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.write(1, b"refused by nobody\n")


def fail(log: AuditLog, fault: str) -> None:
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "exit":
        raise SystemExit  # as an interrupt would, it ends this thread in the middle; threading says nothing of it
    os.close(log._log or -1)  # the next system call on it fails as on a device that is gone


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
