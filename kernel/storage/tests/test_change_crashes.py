"""kill -9 at every step of a change: afterwards the old state or the new one, whole, and on record exactly once."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cloned_schemas.errors import Unavailable
from cloned_storage.accepted import Accepted, AcceptedStore
from cloned_storage.audit import AuditLog
from cloned_storage.clock import SystemClock
from cloned_storage.layout import Places, UserPlaces
from cloned_storage.redaction import Redactor

DRIVER = Path(__file__).with_name("change_driver.py")
ID = "01890a5d-ac96-774b-bcce-b302099a8057"
AFTER_THE_JOURNAL = [
    "change.journaled", "audit.locked", "audit.written", "audit.synced", "change.audited", "change.file",
    "change.file 2", "change.file 3", "change.file 4", "change.accepted", "change.done",
]  # fmt: skip


class Home:
    def __init__(self, places: Places, folder: Path) -> None:
        self.places, self.folder = places, folder

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, DRIVER, self.places.root, self.folder, *words])

    def run(self, *words: str) -> int:
        return self.start(*words).wait()

    @property
    def store(self) -> AcceptedStore:
        return AcceptedStore(self.places, UserPlaces.from_environment({"HOME": str(self.folder)}), SystemClock(), ID)

    def audited(self) -> list[str]:
        log = AuditLog(self.places, SystemClock(), ID, Redactor(b"salt"))
        assert log.verify().intact
        return [str(entry["details"]["by"]) for _, entry in log.entries() if entry["kind"] == "workspace"]

    def is_whole(self, name: str) -> Accepted:
        accepted = self.store.check()
        assert set(accepted.files.values()) == {f"made: by {name}\n".encode()}
        assert accepted.folders == {"cloned-x": {"docs": f"/{name}"}}
        state = UserPlaces.from_environment({"HOME": str(self.folder)}).workspace_state(self.places.root, ID)
        kept = {"audit.log", "audit.lock", "config.yaml", "registry.yaml", "plugins.lock.json", ".gitignore"}
        assert {path.name for path in state.iterdir()} == {"accepted.json"}
        assert {path.name for path in self.places.home.iterdir() if path.is_file()} == kept
        assert {path.name for path in self.places.policy.iterdir()} == {"personal.yaml"}
        return accepted


@pytest.fixture
def home(places: Places, tmp_path: Path) -> Home:
    made = Home(places, tmp_path / "home")
    assert made.run("change", "old") == 0
    made.is_whole("old")
    return made


@pytest.mark.parametrize("step", AFTER_THE_JOURNAL)
def test_a_change_that_was_written_down_happens_whenever_its_process_is_killed(home: Home, step: str) -> None:
    assert home.run("change", "new", *step.split()) == -signal.SIGKILL
    if step != "change.done":
        with pytest.raises(Unavailable, match="CHANGE_UNFINISHED"):
            home.store.check()
    assert home.run("recover") == 0
    home.is_whole("new")
    assert home.audited() == ["old", "new"]


@pytest.mark.parametrize("step", ["audit.synced", "change.audited", "change.file", "change.accepted"])
def test_a_recovery_that_is_killed_is_finished_by_the_next(home: Home, step: str) -> None:
    assert home.run("change", "new", "change.journaled") == -signal.SIGKILL
    assert home.run("recover", step) == -signal.SIGKILL
    assert home.run("recover") == 0
    home.is_whole("new")
    assert home.audited() == ["old", "new"]


def test_a_change_killed_before_it_was_written_down_never_was(home: Home) -> None:
    # The journal's own file is opened, written and renamed: killed at each of these, nothing has happened.
    for event, count in (("open", 1), ("os.rename", 1)):
        words = [sys.executable, "-c", KILLED, str(DRIVER), event, str(count), str(home.places.root), str(home.folder)]
        assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
        assert home.run("recover") == 0
        home.is_whole("old")
        assert home.audited() == ["old"]
    assert home.run("change", "new") == 0
    home.is_whole("new")


KILLED = """
import os, runpy, signal, sys
driver, event, count, root, home = sys.argv[1:]
left = [int(count)]
def hook(name, args):
    if name == event and "change.json" in str(args[0]) and "unfinished" in str(args[0]):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
sys.argv = [driver, root, home, "change", "new"]
sys.addaudithook(hook)
runpy.run_path(driver, run_name="__main__")
"""


def test_a_killed_first_change_is_finished_too(places: Places, tmp_path: Path) -> None:
    home = Home(places, tmp_path / "home")
    assert home.run("change", "first", "change.file") == -signal.SIGKILL
    assert home.run("recover") == 0
    home.is_whole("first")
    assert home.audited() == ["first"]


def test_while_a_change_is_unfinished_no_other_begins(home: Home) -> None:
    assert home.run("change", "new", "change.file") == -signal.SIGKILL
    assert home.run("change", "newer") == 1
    assert home.run("recover") == 0
    home.is_whole("new")
    assert home.audited() == ["old", "new"]


def test_processes_that_change_at_once_take_turns_and_lose_nothing(home: Home) -> None:
    running = [home.start("add", name, "15") for name in ("a", "b", "c")]
    store, looked = home.store, list[Accepted]()
    while any(process.poll() is None for process in running):
        looked.append(store.check())  # a reader beside them never meets half of a change
    assert [process.wait() for process in running] == [0, 0, 0]
    lines = home.store.check().files["registry.yaml"].decode().splitlines()[1:]
    assert sorted(lines) == sorted(f"- {name}{number}" for name in "abc" for number in range(15))
    for name in "abc":
        assert [line for line in lines if line[2] == name] == [f"- {name}{number}" for number in range(15)]
    seen = [len(one.files["registry.yaml"]) for one in looked]
    assert seen == sorted(seen)
    log = AuditLog(home.places, SystemClock(), ID, Redactor(b"salt"))
    ids = [entry["details"]["change_id"] for _, entry in log.entries()]
    assert len(ids) == len(set(ids)) == 46
