"""The workspace's database: short durable write transactions, read snapshots, and the translation of its failures.

Everything that only SQLite has stands in this file. Never open and close state.db by other means in a process that uses
it: POSIX drops all of a process's locks on a file with the first descriptor closed (sqlite.org/howtocorrupt, 2.2).
"""

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from cloned_schemas.errors import Unavailable, error_for
from cloned_storage.clock import Clock, timestamp, uuid7
from cloned_storage.statement import Statement
from cloned_storage.tables import events
from cloned_storage.tables import generation as generations
from cloned_storage.writer import Writer

BUSY_SECONDS = 30
_SETTINGS = {"busy_timeout": BUSY_SECONDS * 1000, "foreign_keys": "on", "trusted_schema": "off"}
_WRITER = {"journal_mode": "wal", "synchronous": "full"}
_READER = {"query_only": "on"}
_FAULTS = {  # by SQLite's primary result codes; what is not here (a constraint, a misuse) concerns the caller alone
    sqlite3.SQLITE_BUSY: "DATABASE_BUSY", sqlite3.SQLITE_LOCKED: "DATABASE_BUSY",
    sqlite3.SQLITE_ERROR: "DATABASE_SCHEMA", sqlite3.SQLITE_SCHEMA: "DATABASE_SCHEMA",
} | dict.fromkeys(
    (sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL,
     sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_NOMEM),
    "DATABASE_UNAVAILABLE",
)  # fmt: skip
_GENERATION = Statement(sa.select(generations.c.value).where(generations.c.id == 1))
_EVENT = Statement(events.insert())
_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class WriteTransaction:
    """A write transaction. No call and no network inside: every other writer waits."""

    connection: sa.Connection
    _clock: Clock

    def publish(self, type_: str, subject: str, data: Mapping[str, Any]) -> None:
        """Add an event to the ordered log, in this same transaction."""
        row = {"id": uuid7(self._clock), "type": type_, "at": timestamp(self._clock.now()), "subject": subject}
        _EVENT.change(self.connection, row | {"data": _encode(data).decode()})


class Database:
    """One database, for every thread of this process."""

    def __init__(self, url: str | sa.URL, clock: Clock) -> None:
        """Makes the file (0600) where there is none. Raises DATABASE_UNAVAILABLE for anything but a SQLite file."""
        self.clock = clock
        self._url = sa.make_url(url)
        if self._url.get_backend_name() != "sqlite" or not self._url.database or self._url.query:
            raise Unavailable("DATABASE_UNAVAILABLE", f"{self._url!r} is not a SQLite file, which alone is known here")
        self._path = Path(self._url.database)
        self._file = _created(self._path)
        # One writing connection, for which threads queue without polling; readers get their own.
        self._writer = Writer(_engine(self._url, "begin immediate", _WRITER, pool_size=1, max_overflow=0), BUSY_SECONDS)
        self._readers = _engine(self._url, "begin", _READER, pool_size=4, max_overflow=-1)

    @property
    def commits(self) -> int:
        """How many write transactions this process made durable; threads that come together share one."""
        return self._writer.commits

    @contextlib.contextmanager
    def begin(self) -> Iterator[WriteTransaction]:
        """A write transaction, alone in the database: durable once the block has ended, undone when it raises.

        Raises DATABASE_BUSY after 30 s, DATABASE_UNAVAILABLE, DATABASE_SCHEMA; RuntimeError within another of
        this thread.
        """
        with self._border(), self._writer.work() as connection:
            yield WriteTransaction(connection, self.clock)

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A snapshot, taken by the first statement, that cannot be written to. Raises as `begin` does."""
        with self._border(), self._readers.begin() as connection:
            yield connection

    def generation(self, connection: sa.Connection) -> int:
        """The number that moves whenever something in the database that a verdict depends on does."""
        found = _GENERATION.ask(connection, {}).scalar()
        if found is None:
            raise Unavailable("DATABASE_SCHEMA", f"{self._path} was not made by 'cloned init'")
        return int(found)

    def bump(self, connection: sa.Connection) -> None:
        """Move the generation: every process judges anew once this transaction is durable."""
        changed = generations.update().where(generations.c.id == 1).values(value=generations.c.value + 1)
        connection.execute(changed)

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._writer.close()
        self._readers.dispose()

    @contextlib.contextmanager
    def _border(self) -> Iterator[None]:
        self._refuse_replaced()
        try:
            yield
        except (sa.exc.DBAPIError, sqlite3.Error) as error:
            cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
            # Mistakes that the driver finds before SQLite does (a value of no known type) carry no code at all.
            fault = _FAULTS.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF)
            if fault is None:
                raise
            raise error_for(fault, f"{self._path}: {cause}") from error

    def _refuse_replaced(self) -> None:
        # Open connections would go on writing to a file that was removed or replaced, and lose it all.
        try:
            same = os.path.samestat(self._file, os.stat(self._path))  # noqa: PTH116 - twice a call, and half as long
        except OSError:
            same = False
        if not same:
            raise Unavailable("DATABASE_UNAVAILABLE", f"{self._path} was removed or replaced while it was in use")


def sqlite_url(path: Path) -> sa.URL:
    """The URL of a SQLite file, whatever characters its path holds."""
    return sa.URL.create("sqlite", database=str(path))


def _engine(url: sa.URL, begin: str, settings: Mapping[str, object], *, pool_size: int, max_overflow: int) -> sa.Engine:
    # The driver's own transactions are off (isolation_level None), so that ours begin when and as we say.
    engine = sa.create_engine(
        url, hide_parameters=True, poolclass=sa.QueuePool, pool_size=pool_size, max_overflow=max_overflow,
        connect_args={"isolation_level": None, "check_same_thread": False},
    )  # fmt: skip

    def connected(connection: sqlite3.Connection, _record: object) -> None:
        for name, value in {**_SETTINGS, **settings}.items():
            connection.execute(f"pragma {name} = {value}")

    def begun(connection: sa.Connection) -> None:
        connection.connection.cursor().execute(begin)

    sa.event.listen(engine, "connect", connected)
    sa.event.listen(engine, "begin", begun)
    return engine


def _created(path: Path) -> os.stat_result:
    """What identifies the file, made where missing: with the mode that SQLite gives its side files too."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}.unfinished")
    try:
        if not path.exists():  # linked in only once it is closed, see above
            os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            with contextlib.suppress(FileExistsError):
                os.link(fresh, path)
            fresh.unlink()
        return path.stat()
    except OSError as error:
        raise Unavailable("DATABASE_UNAVAILABLE", f"cannot make {path}: {error.strerror}") from error
