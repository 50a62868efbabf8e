"""What a workspace and its user have on disk, to be compared before and after an attack. Changes nothing."""

import json
import sqlite3
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloned_schemas.errors import spec
from tests.attacks.forge import ForgedPublisher
from tests.conftest import Command, Desk, Done

Premises = dict[str, tuple[int, bytes]]


def premises(desk: Desk) -> Premises:
    """Every path of the workspace and of the user's folders: its mode, and its bytes or where it links to.

    The audit is left to `told_since`; of the database counts what it holds, not how SQLite lays it out.
    """
    roots = (desk.root, desk.user.config, desk.user.state, desk.user.data)
    paths = sorted(path for root in roots for path in (root, *root.rglob("*")))
    found = {str(path): _kept(path) for path in paths if not path.name.startswith(("audit.", "state.db"))}
    return found | {"the database": (0, _rows(desk.places.database))}


def _kept(path: Path) -> tuple[int, bytes]:
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return 0, b""
    if stat.S_ISLNK(facts.st_mode):
        return facts.st_mode, str(path.readlink()).encode()
    return facts.st_mode, path.read_bytes() if stat.S_ISREG(facts.st_mode) else b""


def _rows(database: Path) -> bytes:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return "\n".join(connection.iterdump()).encode()
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Watched:
    """A workspace as it was at one moment."""

    desk: Desk
    before: Premises
    audit: bytes

    @classmethod
    def now(cls, desk: Desk) -> "Watched":
        return cls(desk, premises(desk), desk.places.audit_log.read_bytes())

    def told_since(self) -> list[dict[str, Any]]:
        """The audit's entries since then; what stood before stands as it was."""
        audit = self.desk.places.audit_log.read_bytes()
        assert audit.startswith(self.audit)
        return [json.loads(line) for line in audit[len(self.audit) :].splitlines()]

    def assert_untouched(self) -> None:
        after = premises(self.desk)
        assert sorted(after.keys() ^ self.before.keys()) == []
        assert [path for path in after if after[path] != self.before[path]] == []


def trusted(desk: Desk, publisher: ForgedPublisher, folder: Path) -> Desk:
    """The workspace's user trusts this publisher."""
    record = folder / f"{publisher.id}.json"
    record.write_text(publisher.record.model_dump_json())
    desk.ask("trust.add", file=str(record), kernel="kernel" in publisher.record.executions)
    return desk


def error_of(done: Done) -> dict[str, Any]:
    """The error that a command told as JSON, having ended with the exit code of the error's family."""
    told: dict[str, Any] = json.loads(done.out)["error"]
    expected = spec(told["id"])
    assert (done.code, told["family"]) == (expected.exit_code, expected.family), told
    return told


def beside(desk: Desk, command: Command) -> Command:
    """The command, given in the workspace's folder."""
    return Command(desk.root, command.env)
