"""Schema histories of the kernel and of kernel plugins: one runner, forward only. Reads no migration from files.

Alembic's operations are used without its ScriptDirectory, which would execute files past the loader that verifies code.
"""

import sys
from collections.abc import Sequence

import sqlalchemy as sa

from cloned_schemas.errors import PluginFault, Unavailable
from cloned_sdk.host import Migration
from cloned_storage.clock import timestamp
from cloned_storage.database import Database
from cloned_storage.files import locked
from cloned_storage.layout import Places

KERNEL = "kernel"
_history = sa.Table(
    "schema_history",
    sa.MetaData(),
    sa.Column("owner", sa.String(100), primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("min_reader", sa.Integer, nullable=False),
    sa.Column("applied_at", sa.String(32), nullable=False),
)


def migrate(database: Database, owner: str, migrations: Sequence[Migration], places: Places) -> int:
    """Apply what is missing of an owner's history, one transaction a step, while no other process does; how many.

    `owner` is `kernel` or a plugin's id. Raises PLUGIN_HOOK for a history that is none and for a step that makes tables
    outside `<package>__*`, DATABASE_SCHEMA where newer code has been here; whatever a step raises undoes that step.
    """
    steps = sorted(migrations, key=lambda step: step.revision)
    floors = [step.min_reader for step in steps]
    numbered = [step.revision for step in steps] == list(range(1, len(steps) + 1))
    if not numbered or floors != sorted(floors) or any(step.min_reader > step.revision for step in steps):
        raise PluginFault(
            "PLUGIN_HOOK", f"the migrations of {owner} are not numbered from 1, or their min_reader falls"
        )
    with locked(places.run / "migrate.lock"):
        with database.begin() as transaction:
            _history.create(transaction.connection, checkfirst=True)
        missing = steps[_revision(database, owner, len(steps)) :]
        for step in missing:
            _apply(database, owner, step)
            sys.audit("cloned.step", "migration.applied")
    return len(missing)


def _apply(database: Database, owner: str, step: Migration) -> None:
    from alembic.operations import Operations  # noqa: PLC0415 - 150 ms that only a migration needs
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - with it

    with database.begin() as transaction:
        connection = transaction.connection
        before = set(sa.inspect(connection).get_table_names())
        step.upgrade(Operations(MigrationContext.configure(connection)))
        prefix = "" if owner == KERNEL else owner.replace("-", "_") + "__"
        foreign = sorted(
            name for name in set(sa.inspect(connection).get_table_names()) ^ before if not name.startswith(prefix)
        )
        if foreign:
            raise PluginFault(
                "PLUGIN_HOOK", f"revision {step.revision} of {owner} makes or drops the table {foreign[0]}"
            )
        row = {"owner": owner, "revision": step.revision, "min_reader": step.min_reader}
        connection.execute(_history.insert(), row | {"applied_at": timestamp(database.clock.now())})
        sys.audit("cloned.step", "migration.upgraded")


def check(database: Database, owner: str, known_revision: int) -> None:
    """Pass if code that knows an owner's history up to `known_revision` can work here. Raises DATABASE_SCHEMA."""
    revision = _revision(database, owner, known_revision)
    if revision < known_revision:
        fact = f"the database holds revision {revision} of the tables of {owner}; {known_revision} is needed"
        raise Unavailable("DATABASE_SCHEMA", fact)


def _revision(database: Database, owner: str, known_revision: int) -> int:
    """The revision of an owner's tables, 0 where there are none; refused to code that is too old to read them."""
    with database.read() as connection:
        if not sa.inspect(connection).has_table(_history.name):
            return 0
        newest = sa.select(sa.func.max(_history.c.revision), sa.func.max(_history.c.min_reader))
        revision, floor = connection.execute(newest.where(_history.c.owner == owner)).one()
    if (floor or 0) > known_revision:
        fact = f"the tables of {owner} need code of revision {floor} or newer; this is {known_revision}"
        raise Unavailable("DATABASE_SCHEMA", fact, repair="run the newer version of Cloned or of the plugin")
    return revision or 0
