"""Threads that write at once share a commit, and nothing else."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from cloned_schemas.errors import ClonedError
from cloned_storage.database import Database

PARENT = sa.table("parent", sa.column("id"))
CHILD = sa.table("child", sa.column("parent_id"))


@pytest.fixture
def family(database: Database) -> Iterator[Database]:
    """Two tables, of which one may refer to the other until the commit, no longer."""
    with database.begin() as transaction:
        run = transaction.connection.exec_driver_sql
        run("create table parent (id integer primary key)")
        run("create table child (parent_id integer references parent deferrable initially deferred)")
    yield database
    database.close()


def born(database: Database, number: int, before: Callable[[], None] = lambda: None) -> None:
    with database.begin() as transaction:
        transaction.connection.execute(PARENT.insert().values(id=number))
        before()


def orphaned(database: Database) -> None:
    with database.begin() as transaction:
        transaction.connection.execute(CHILD.insert().values(parent_id=99))


def failing(database: Database) -> None:
    def fail() -> None:
        raise KeyError

    born(database, 50, fail)


def parents(database: Database) -> list[int]:
    with database.read() as connection:
        return [row.id for row in connection.execute(sa.select(PARENT).order_by(PARENT.c.id))]


def together(database: Database, *others: Callable[[Database], None]) -> list["Future[None]"]:
    """The first writes parent 1, and stays until every other waits for its turn; how all of them ended."""
    inside = threading.Event()

    def wait_for_the_others() -> None:
        inside.set()
        while database._writer._queued < len(others):
            os.sched_yield()

    with ThreadPoolExecutor(len(others) + 1) as threads:
        first = threads.submit(born, database, 1, wait_for_the_others)
        inside.wait()
        return [first, *(threads.submit(other, database) for other in others)]


def test_threads_that_come_together_share_one_commit(family: Database) -> None:
    before = family.commits
    ended = together(family, lambda it: born(it, 2), lambda it: born(it, 3))
    assert [future.exception() for future in ended] == [None] * 3
    assert (parents(family), family.commits) == ([1, 2, 3], before + 1)


def test_one_that_comes_alone_does_not_wait_for_another(family: Database) -> None:
    before = family.commits
    born(family, 1)
    born(family, 2)
    assert (parents(family), family.commits) == ([1, 2], before + 2)


def test_work_that_raises_is_undone_alone(family: Database) -> None:
    first, failed, other = together(family, failing, lambda it: born(it, 3))
    assert isinstance(failed.exception(), KeyError)
    assert first.exception() is other.exception() is None
    assert parents(family) == [1, 3]


def test_a_commit_that_fails_is_an_error_of_everybody_in_it(family: Database) -> None:
    before = family.commits
    ended = together(family, orphaned, lambda it: born(it, 3))
    assert all(isinstance(future.exception(), sa.exc.IntegrityError) for future in ended)
    assert (parents(family), family.commits) == ([], before)
    born(family, 4)
    assert parents(family) == [4]


def test_a_transaction_that_the_database_undid_is_an_error_of_everybody_in_it(family: Database) -> None:
    def undone(database: Database) -> None:
        with database.begin() as transaction:
            transaction.connection.exec_driver_sql("rollback")  # as SQLite does by itself when the disk is full

    ended = together(family, undone)
    assert all(future.exception() is not None for future in ended)
    assert parents(family) == []
    born(family, 4)
    assert parents(family) == [4]


def test_one_that_gives_up_waiting_leaves_nobody_behind(family: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family._writer, "_patience", 0.01)
    refused: list[str] = []

    def outwait() -> None:
        with pytest.raises(ClonedError) as caught:
            born(family, 2)
        refused.append(caught.value.id)

    def stay() -> None:
        other = threading.Thread(target=outwait)
        other.start()
        other.join()

    born(family, 1, stay)
    assert (refused, parents(family)) == (["DATABASE_BUSY"], [1])
