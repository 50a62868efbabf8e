import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from cloned_schemas.errors import ClonedError
from cloned_storage import database as module
from cloned_storage.clock import SystemClock
from cloned_storage.database import Database, sqlite_url
from cloned_storage.layout import Places
from cloned_storage.tables import events, generation, metadata

Error = Callable[..., ClonedError]
DRIVER = Path(__file__).with_name("database_driver.py")
COUNTER = sa.table("counter", sa.column("value"))


@pytest.fixture
def filled(database: Database) -> Database:
    with database.begin() as transaction:
        metadata.create_all(transaction.connection)
        transaction.connection.execute(generation.insert(), {"id": 1, "value": 1})
        transaction.connection.execute(sa.text("create table counter (value integer not null)"))
        transaction.connection.execute(COUNTER.insert().values(value=0))
    return database


def write(database: Database) -> None:
    with database.begin() as transaction:
        transaction.publish("test.written", "x", {"b": 1, "a": [None]})


def read(database: Database) -> list[sa.Row[tuple[object, ...]]]:
    with database.read() as connection:
        return list(connection.execute(sa.select(events).order_by(events.c.seq)).all())


def test_a_write_is_durable_private_and_counted(places: Places, filled: Database) -> None:
    before = filled.commits
    write(filled)
    (row,) = read(filled)
    assert (row.seq, row.type, row.subject, json.loads(row.data)) == (1, "test.written", "x", {"b": 1, "a": [None]})
    assert row.data == '{"a":[null],"b":1}'
    assert row.at.endswith("Z")
    assert filled.commits == before + 1
    modes = {path.name: path.stat().st_mode & 0o777 for path in places.home.glob("state.db*")}
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}


def test_the_engine_is_as_safe_as_promised(filled: Database) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0, "busy_timeout": 30_000}
    with filled.begin() as transaction:
        assert {name: transaction.connection.exec_driver_sql(f"pragma {name}").scalar() for name in wanted} == wanted


def test_a_block_that_raises_leaves_nothing(filled: Database) -> None:
    def fail(error: type[Exception]) -> None:
        with filled.begin() as transaction:
            transaction.publish("test.written", "x", {})
            raise error

    before = filled.commits
    for error in (KeyError, FileNotFoundError, SystemError):
        with pytest.raises(error):
            fail(error)
    assert (read(filled), filled.commits) == ([], before)
    write(filled)
    assert len(read(filled)) == 1


def test_a_reader_sees_one_moment_and_cannot_write(filled: Database, error_of: Error) -> None:
    with filled.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(events)).scalar() == 0
        write(filled)
        assert connection.execute(sa.select(sa.func.count()).select_from(events)).scalar() == 0

    def write_as_reader() -> None:
        with filled.read() as connection:
            connection.execute(events.delete())

    assert error_of(write_as_reader).id == "DATABASE_UNAVAILABLE"
    assert len(read(filled)) == 1


def test_a_transaction_within_one_of_the_same_thread_is_a_mistake_and_no_deadlock(filled: Database) -> None:
    with filled.begin(), pytest.raises(RuntimeError), filled.begin():
        pass
    write(filled)


def test_the_generation_moves_with_its_transaction(filled: Database) -> None:
    def bump_and_fail() -> None:
        with filled.begin() as transaction:
            filled.bump(transaction.connection)
            raise KeyError

    with pytest.raises(KeyError):
        bump_and_fail()
    with filled.read() as connection:
        assert filled.generation(connection) == 1
    with filled.begin() as transaction:
        filled.bump(transaction.connection)
        assert filled.generation(transaction.connection) == 2
    with filled.read() as connection:
        assert filled.generation(connection) == 2


def test_a_constraint_is_the_callers_own_answer(filled: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError), filled.begin() as transaction:
        transaction.connection.execute(generation.insert(), {"id": 1, "value": 1})


def test_a_value_that_no_column_holds_is_the_callers_mistake(filled: Database) -> None:
    def write_an_object() -> None:
        with filled.begin() as transaction:
            transaction.connection.execute(sa.text("update counter set value = :value"), {"value": object()})

    with pytest.raises(sa.exc.DBAPIError, match="not supported"):
        write_an_object()
    write(filled)


def test_sixteen_threads_lose_nothing(filled: Database) -> None:
    def work() -> None:
        for _ in range(25):
            with filled.begin() as transaction:
                value = transaction.connection.execute(sa.select(COUNTER.c.value)).scalar_one()
                transaction.connection.execute(COUNTER.update().values(value=value + 1))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with filled.read() as connection:
        assert connection.execute(sa.select(COUNTER.c.value)).scalar() == 400


def test_two_processes_of_sixteen_threads_lose_nothing_and_are_never_refused(places: Places, filled: Database) -> None:
    words = [sys.executable, str(DRIVER), str(places.database), "write"]
    running = [subprocess.Popen([*words, name, "16", "25"]) for name in "ab"]
    while any(process.poll() is None for process in running):
        read(filled)
    assert [process.returncode for process in running] == [0, 0]
    with filled.read() as connection:
        assert connection.execute(sa.select(COUNTER.c.value)).scalar() == 800
    rows = read(filled)
    assert [row.seq for row in rows] == list(range(1, 801))
    assert len({(row.subject, row.data) for row in rows}) == 800


@pytest.mark.parametrize(("when", "kept"), [("before", 0), ("after", 1)])
def test_a_killed_process_leaves_what_it_committed_and_nothing_else(
    places: Places, filled: Database, when: str, kept: int
) -> None:
    filled.close()
    ran = subprocess.run([sys.executable, DRIVER, places.database, "killed", when], check=False)
    assert ran.returncode == -signal.SIGKILL
    assert len(read(filled)) == kept
    write(filled)


def test_a_database_held_by_another_is_busy(
    places: Places, filled: Database, error_of: Error, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.close()
    monkeypatch.setitem(module._SETTINGS, "busy_timeout", 1)
    held = sqlite3.connect(places.database, isolation_level=None)
    held.execute("begin immediate")
    assert error_of(write, filled).id == "DATABASE_BUSY"
    held.execute("rollback")
    write(filled)
    held.close()


def test_a_thread_that_holds_the_database_makes_the_others_busy_not_stuck(
    filled: Database, error_of: Error, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filled._writer, "_patience", 0.01)
    refused: list[ClonedError] = []
    with filled.begin():
        other = threading.Thread(target=lambda: refused.append(error_of(write, filled)))
        other.start()
        other.join()
    assert [error.id for error in refused] == ["DATABASE_BUSY"]
    write(filled)


@pytest.mark.parametrize("data", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_unavailable(tmp_path: Path, error_of: Error, data: bytes) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(data)
    assert error_of(write, Database(sqlite_url(path), SystemClock())).id == "DATABASE_UNAVAILABLE"
    assert path.read_bytes() == data


def test_a_database_without_our_tables_has_another_shape(database: Database, error_of: Error) -> None:
    assert error_of(write, database).id == "DATABASE_SCHEMA"
    assert error_of(read, database).id == "DATABASE_SCHEMA"


def test_a_message_shows_no_values(database: Database, error_of: Error) -> None:
    def write_secret() -> None:
        with database.begin() as transaction:
            transaction.connection.execute(events.insert().values(subject="THE-SECRET"))

    refused = error_of(write_secret)
    assert "THE-SECRET" not in str(refused)
    assert "THE-SECRET" not in str(refused.__cause__)


@pytest.mark.parametrize("change", ["removed", "replaced"])
def test_a_file_removed_or_replaced_while_in_use_is_noticed(
    places: Places, filled: Database, error_of: Error, change: str
) -> None:
    if change == "replaced":
        (places.home / "other").write_bytes(places.database.read_bytes())
        (places.home / "other").replace(places.database)
    else:
        places.database.unlink()
    assert error_of(write, filled).id == "DATABASE_UNAVAILABLE"
    assert error_of(read, filled).id == "DATABASE_UNAVAILABLE"


def test_a_full_disk_is_told_and_the_database_stays_whole(filled: Database, error_of: Error) -> None:
    write(filled)

    def fill() -> None:
        with filled.begin() as transaction:
            limit = transaction.connection.exec_driver_sql("pragma page_count").scalar_one()
            transaction.connection.exec_driver_sql(f"pragma max_page_count = {limit}")
            for _ in range(100):
                transaction.publish("test.written", "x" * 10_000, {})

    assert error_of(fill).id == "DATABASE_UNAVAILABLE"
    assert len(read(filled)) == 1


def test_a_name_of_any_bytes_names_the_file_that_it_says(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a?b%20#\xff;mode=ro.db"))
    Database(sqlite_url(path), SystemClock())
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:?uri=true", "postgresql://user:pw@host/db", "sqlite:////x/y?a=1"]
)
def test_another_kind_of_database_is_refused_without_its_password(error_of: Error, url: str) -> None:
    refused = error_of(Database, url, SystemClock())
    assert refused.id == "DATABASE_UNAVAILABLE"
    assert "pw" not in str(refused)


def test_a_folder_that_is_missing_is_told(tmp_path: Path, error_of: Error) -> None:
    assert error_of(Database, sqlite_url(tmp_path / "gone/state.db"), SystemClock()).id == "DATABASE_UNAVAILABLE"
