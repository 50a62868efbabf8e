"""The writing connection of a process: threads take turns at it, and those that come together share one commit.

Each thread's work is a savepoint of a transaction that the last of them commits; no thread goes on before that is
durable. What undoes the work of one leaves the others' as it is; what undoes the transaction is an error of them all.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import sqlalchemy as sa

from cloned_schemas.errors import Unavailable


@dataclass(slots=True, eq=False)
class _Shared:
    """A transaction on its way: how many threads' work is in it, and how it ended once `over` is set."""

    transaction: sa.RootTransaction
    members: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    durable: bool = False
    error: Exception | None = None


class Writer:
    """Lends the connection of an engine to one thread at a time. `commits` counts what was made durable."""

    def __init__(self, engine: sa.Engine, patience: float) -> None:
        """`patience`: seconds that a thread waits for its turn."""
        self.commits = 0
        self._engine, self._patience = engine, patience
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._queued = 0
        self._owner: int | None = None
        self._connection: sa.Connection | None = None
        self._shared: _Shared | None = None

    @contextmanager
    def work(self) -> Iterator[sa.Connection]:
        """The connection, for this thread alone; what it does is durable when the block has ended, undone if it raises.

        Raises Unavailable DATABASE_BUSY, RuntimeError within another block of this thread, and the engine's own errors.
        """
        if self._owner == threading.get_ident():
            raise RuntimeError("a write transaction is open in this thread already")
        self._take_turn()
        try:
            self._owner = threading.get_ident()
            connection, shared = self._joined()
            with _apart(connection, shared):
                yield connection
        finally:
            self._owner = None
            self._pass_on()
        shared.over.wait()
        if not shared.durable:
            raise shared.error or Unavailable("DATABASE_UNAVAILABLE", "a commit was interrupted")

    def close(self) -> None:
        """Close the connection; later work opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._engine.dispose()

    def _take_turn(self) -> None:
        with self._counting:
            self._queued += 1
        mine = False
        try:
            mine = self._turn.acquire(timeout=self._patience)
        finally:
            with self._counting:
                self._queued -= 1
                # Others may have counted on us to commit for them, and we give up.
                left = not mine and not self._queued and self._turn.acquire(blocking=False)
            if left:
                self._pass_on()
        if not mine:
            raise Unavailable("DATABASE_BUSY", "a thread of this process holds the database for too long")

    def _joined(self) -> tuple[sa.Connection, _Shared]:
        if self._connection is None:
            self._connection = self._engine.connect()
        if self._shared is None:
            self._shared = _Shared(self._connection.begin())
        return self._connection, self._shared

    def _pass_on(self) -> None:
        """Give the turn to who waits for it, with the open transaction; commit where nobody does."""
        with self._counting:
            broken = self._shared is not None and self._shared.error is not None
            if self._queued and not broken:
                self._turn.release()
                return
        try:
            shared, self._shared = self._shared, None
            if shared is not None:
                self._end(shared)
        finally:
            self._turn.release()

    def _end(self, shared: _Shared) -> None:
        try:
            if shared.error is None:
                shared.transaction.commit()
                shared.durable = True
                self.commits += shared.members > 0
        except sa.exc.DBAPIError as error:
            shared.error = error
        finally:
            if not shared.durable and self._connection is not None:
                self._connection.invalidate()  # SQLite may be in the transaction still: nobody goes on with this one
                self._connection.close()
                self._connection = None
            shared.over.set()


@contextmanager
def _apart(connection: sa.Connection, shared: _Shared) -> Iterator[None]:
    """A savepoint around one thread's work."""
    cursor = connection.connection.cursor()
    cursor.execute("savepoint work")
    try:
        yield
        cursor.execute("release work")
    except BaseException:
        try:
            cursor.execute("rollback to work")
            cursor.execute("release work")
        except connection.dialect.loaded_dbapi.Error as error:  # the database undid the transaction already
            shared.error = error
        raise
    shared.members += 1
