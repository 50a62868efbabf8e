"""Uses a database in a process of its own.

database_driver.py FILE write NAME THREADS TIMES
database_driver.py FILE killed before|after    SIGKILL before or after the commit
database_driver.py FILE migrate ROOT [STEP COUNT]
"""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from cloned_sdk.host import Migration
from cloned_storage.clock import SystemClock
from cloned_storage.database import Database, sqlite_url
from cloned_storage.layout import Places
from cloned_storage.migrations import migrate

COUNTER = sa.table("counter", sa.column("value"))


def write(database: Database, name: str, threads: int, times: int) -> None:
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(times):
                with database.begin() as transaction:
                    # It reads first: only a transaction that is a writer's from its beginning may then write.
                    value = transaction.connection.execute(sa.select(COUNTER.c.value)).scalar_one()
                    transaction.publish("test.written", f"{name}-{number}", {"turn": turn})
                    transaction.connection.execute(COUNTER.update().values(value=value + 1))
        except BaseException as error:
            failed.append(error)
            raise

    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    sys.exit(1 if failed else 0)


def killed(database: Database, when: str) -> None:
    with database.begin() as transaction:
        transaction.publish("test.killed", when, {})
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def one(op: Any) -> None:
    op.create_table("acme_x__a", sa.Column("id", sa.Integer, primary_key=True))
    op.create_index("acme_x__a_i", "acme_x__a", ["id"])


def two(op: Any) -> None:
    op.add_column("acme_x__a", sa.Column("text", sa.Text))
    op.create_table("acme_x__b", sa.Column("id", sa.Integer, primary_key=True))


STEPS = (Migration(1, one), Migration(2, two))


def migrated(database: Database, root: str, step: str = "", count: str = "1") -> None:
    left = [int(count)]

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "cloned.step" and args[0] == step:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    migrate(database, "acme-x", STEPS, Places(Path(root)))


def main(file: str, what: str, *words: str) -> None:
    database = Database(sqlite_url(Path(file)), SystemClock())
    if what == "write":
        write(database, words[0], int(words[1]), int(words[2]))
    elif what == "killed":
        killed(database, words[0])
    else:
        migrated(database, *words)


if __name__ == "__main__":
    main(*sys.argv[1:])
