"""Statements of the hot path: written with SQLAlchemy, compiled once for a dialect, run by the driver as they are.

SQLAlchemy finds a statement's text again by all its parts whenever it runs, which takes longer than SQLite's own work.
Values go to the driver as given, and come back as it has them (SQLite tells booleans as 0 and 1).
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

_Compiled = tuple[str, tuple[str, ...], dict[str, Any]]


class Statement:
    """One statement, always run with values of the same names; an insert or update sets the columns among them."""

    def __init__(self, statement: sa.ClauseElement) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def ask(self, connection: sa.Connection, values: Mapping[str, object]) -> sa.CursorResult[Any]:
        """Run a query with a value for each of its parameters, by name. Raises what the engine raises."""
        return connection.exec_driver_sql(*self._bound(connection, values))

    def change(self, connection: sa.Connection, values: Mapping[str, object]) -> int:
        """Run an insert or update; how many rows it was about. Raises what the driver raises."""
        cursor = connection.connection.cursor()
        cursor.execute(*self._bound(connection, values))
        return int(cursor.rowcount)

    def _bound(self, connection: sa.Connection, values: Mapping[str, object]) -> tuple[str, tuple[Any, ...]]:
        compiled = self._compiled.get(connection.dialect.name) or self._compile(connection.dialect, list(values))
        text, names, fixed = compiled
        given = {**fixed, **values}
        return text, tuple(given[name] for name in names)

    def _compile(self, dialect: sa.Dialect, names: list[str]) -> _Compiled:
        made: Any = self._statement.compile(dialect=dialect, column_keys=names)
        fixed = {name: value for name, value in made.params.items() if value is not None}
        self._compiled[dialect.name] = (made.string, tuple(made.positiontup), fixed)
        return self._compiled[dialect.name]
