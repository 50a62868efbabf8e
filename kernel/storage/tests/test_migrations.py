import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cloned_schemas.errors import ClonedError
from cloned_sdk.host import Migration
from cloned_storage import tables
from cloned_storage.database import Database
from cloned_storage.layout import Places
from cloned_storage.migrations import check, migrate

Error = Callable[..., ClonedError]
DRIVER = Path(__file__).with_name("database_driver.py")


def table(name: str) -> Callable[[Any], None]:
    def upgrade(op: Any) -> None:
        op.create_table(name, sa.Column("id", sa.Integer, primary_key=True))

    return upgrade


def nothing(op: Any) -> None:
    pass


def names(database: Database) -> set[str]:
    with database.read() as connection:
        return set(sa.inspect(connection).get_table_names())


def history(database: Database, owner: str) -> list[int]:
    with database.read() as connection:
        found = connection.execute(
            sa.text("select revision from schema_history where owner = :owner order by revision"), {"owner": owner}
        )
        return list(found.scalars())


ONE, TWO = Migration(1, table("acme_x__a")), Migration(2, table("acme_x__b"))


def test_the_kernels_own_tables_are_made_and_fit(places: Places, database: Database) -> None:
    assert migrate(database, tables.OWNER, tables.MIGRATIONS, places) == len(tables.MIGRATIONS)
    assert set(tables.metadata.tables) <= names(database)
    check(database, tables.OWNER, tables.MIGRATIONS[-1].revision)
    with database.begin() as transaction:
        database.bump(transaction.connection)


def test_only_what_is_missing_is_applied(places: Places, database: Database) -> None:
    assert migrate(database, "acme-x", (ONE,), places) == 1
    assert migrate(database, "acme-x", (TWO, ONE), places) == 1
    assert migrate(database, "acme-x", (ONE, TWO), places) == 0
    assert history(database, "acme-x") == [1, 2]
    assert {"acme_x__a", "acme_x__b"} <= names(database)


def test_each_owner_has_a_history_of_its_own(places: Places, database: Database) -> None:
    migrate(database, "acme-x", (ONE,), places)
    migrate(database, "acme-y", (Migration(1, table("acme_y__a")), Migration(2, nothing)), places)
    assert (history(database, "acme-x"), history(database, "acme-y")) == ([1], [1, 2])


def test_a_step_that_raises_leaves_those_before_it_and_nothing_of_its_own(places: Places, database: Database) -> None:
    def broken(op: Any) -> None:
        table("acme_x__b")(op)
        raise KeyError

    with pytest.raises(KeyError):
        migrate(database, "acme-x", (ONE, Migration(2, broken)), places)
    assert history(database, "acme-x") == [1]
    assert "acme_x__b" not in names(database)
    assert migrate(database, "acme-x", (ONE, TWO), places) == 1


@pytest.mark.parametrize("name", ["calls", "acme_y__a", "acme_x_a", "x"])
def test_a_plugin_makes_tables_of_its_own_name_alone(
    places: Places, database: Database, error_of: Error, name: str
) -> None:
    assert error_of(migrate, database, "acme-x", (Migration(1, table(name)),), places).id == "PLUGIN_HOOK"
    assert name not in names(database)
    assert history(database, "acme-x") == []


def test_a_plugin_drops_no_table_of_another(places: Places, database: Database, error_of: Error) -> None:
    migrate(database, "acme-y", (Migration(1, table("acme_y__a")),), places)
    drop = Migration(1, lambda op: op.drop_table("acme_y__a"))
    assert error_of(migrate, database, "acme-x", (drop,), places).id == "PLUGIN_HOOK"
    assert "acme_y__a" in names(database)


@pytest.mark.parametrize(
    "steps",
    [
        (Migration(2, nothing),),
        (Migration(0, nothing),),
        (Migration(1, nothing), Migration(1, nothing)),
        (Migration(1, nothing), Migration(3, nothing)),
        (Migration(1, nothing, min_reader=2),),
        (Migration(1, nothing), Migration(2, nothing, min_reader=2), Migration(3, nothing, min_reader=1)),
    ],
)
def test_a_history_that_is_none_is_the_plugins_fault(
    places: Places, database: Database, error_of: Error, steps: tuple[Migration, ...]
) -> None:
    assert error_of(migrate, database, "acme-x", steps, places).id == "PLUGIN_HOOK"


def test_older_code_reads_on_until_a_step_says_that_it_cannot(
    places: Places, database: Database, error_of: Error
) -> None:
    migrate(database, "acme-x", (ONE, TWO), places)
    check(database, "acme-x", 1)
    check(database, "acme-x", 2)
    assert migrate(database, "acme-x", (ONE,), places) == 0
    migrate(database, "acme-x", (ONE, TWO, Migration(3, nothing, min_reader=3)), places)
    for known in (1, 2):
        assert error_of(check, database, "acme-x", known).id == "DATABASE_SCHEMA"
    assert error_of(migrate, database, "acme-x", (ONE, TWO), places).id == "DATABASE_SCHEMA"
    check(database, "acme-x", 3)


def test_newer_code_asks_for_its_migration_first(places: Places, database: Database, error_of: Error) -> None:
    assert error_of(check, database, "acme-x", 1).id == "DATABASE_SCHEMA"
    migrate(database, "acme-x", (ONE,), places)
    refused = error_of(check, database, "acme-x", 2)
    assert "revision 1 of the tables of acme-x; 2 is needed" in refused.fact


def test_alembic_is_loaded_only_for_a_step(places: Places, database: Database) -> None:
    migrate(database, "acme-x", (ONE,), places)
    code = (
        "import sys, database_driver as d\n"
        "from cloned_storage.migrations import check, migrate\n"
        "database = d.Database(d.sqlite_url(d.Path(sys.argv[1])), d.SystemClock())\n"
        "check(database, 'acme-x', 1); migrate(database, 'acme-x', d.STEPS[:1], d.Places(d.Path(sys.argv[2])))\n"
        "sys.exit('alembic' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, places.database, places.root], check=True, cwd=DRIVER.parent)


def migrated(places: Places, *words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, DRIVER, places.database, "migrate", places.root, *words])


@pytest.mark.parametrize(
    ("step", "count", "kept"),
    [
        ("migration.upgraded", "1", []),
        ("migration.applied", "1", [1]),
        ("migration.upgraded", "2", [1]),
        ("migration.applied", "2", [1, 2]),
    ],
)
def test_a_killed_migration_leaves_whole_steps_and_is_finished_by_the_next(
    places: Places, database: Database, step: str, count: str, kept: list[int]
) -> None:
    assert migrated(places, step, count).wait() == -signal.SIGKILL
    assert history(database, "acme-x") == kept
    made = {name for name in names(database) if name.startswith("acme_x__")}
    assert made == {"acme_x__a"} & ({"acme_x__a"} if kept else set()) | ({"acme_x__b"} if 2 in kept else set())
    assert migrated(places).wait() == 0
    assert history(database, "acme-x") == [1, 2]


def test_processes_that_migrate_at_once_apply_each_step_once(places: Places, database: Database) -> None:
    running = [migrated(places) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert history(database, "acme-x") == [1, 2]
