"""The kernel's own tables and their history. Plugins' tables (`<plugin>__<name>`) are theirs, not referred to here."""

from typing import Any

import sqlalchemy as sa

from cloned_sdk.host import Migration

metadata = sa.MetaData()

generation = sa.Table(
    "generation",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("value", sa.BigInteger, nullable=False),
)
"""One row, bumped in the transaction of anything in the database that a verdict depends on."""

origin = sa.Table("origin", metadata, sa.Column("token", sa.String(32), primary_key=True))
"""One row, noted in the user's state as well: so a database is known to have been made here."""

calls = sa.Table(
    "calls",
    metadata,
    sa.Column("call_id", sa.String(36), primary_key=True),
    sa.Column("caller", sa.String(300), nullable=False),
    sa.Column("tool_id", sa.String(160), nullable=False),
    sa.Column("correlation_id", sa.String(200), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("tool_version", sa.String(40), nullable=False),
    sa.Column("schema_id", sa.String(64), nullable=False),
    sa.Column("payload_hash", sa.String(64), nullable=False),
    sa.Column("run_id", sa.String(36), index=True),
    sa.Column("process_id", sa.String(36), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),  # authorized, settled, released
    sa.Column("repeatable", sa.Boolean, nullable=False),  # a read, or a tool that says it is idempotent
    sa.Column("outcome", sa.String(20)),
    sa.Column("error_id", sa.String(40)),
    sa.Column("message", sa.Text),
    sa.Column("output", sa.Text),
    sa.Column("flags", sa.Text),
    sa.Column("costs", sa.Text, nullable=False),
    sa.Column("reservations", sa.Text, nullable=False),
    sa.Column("approval_request", sa.String(36)),
    sa.Column("judgement", sa.Text, nullable=False),
    sa.Column("audit_offset", sa.BigInteger, nullable=False),  # the intent stands at or after this byte
    sa.Column("audited", sa.Boolean, nullable=False),  # the outcome is known to be in the audit
    sa.Column("created_at", sa.String(32), nullable=False),
    sa.Column("settled_at", sa.String(32)),
    sa.UniqueConstraint("caller", "tool_id", "correlation_id", "attempt", name="one_call_a_key"),
    sa.Index("unfinished_calls", "process_id", "audited"),
)

budget_windows = sa.Table(
    "budget_windows",
    metadata,
    sa.Column("category", sa.String(60), primary_key=True),
    sa.Column("period", sa.String(8), primary_key=True),
    sa.Column("starts_at", sa.String(32), primary_key=True),
    sa.Column("used", sa.BigInteger, nullable=False),
    sa.Column("reserved", sa.BigInteger, nullable=False),
    sa.CheckConstraint("used >= 0 and reserved >= 0", name="never_negative"),
)

approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("kind", sa.String(10), nullable=False),  # request, decision, use, release
    sa.Column("request_id", sa.String(36), nullable=False, index=True),
    sa.Column("scope", sa.String(64), nullable=False, index=True),  # digest of what a decision covers
    sa.Column("call_id", sa.String(36)),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("actor", sa.String(300), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("prev_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("this_hash", sa.String(64), nullable=False),
)
"""Append-only and hash-chained; `prev_hash` being unique makes two successors of one row impossible."""

events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("type", sa.String(80), nullable=False),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("subject", sa.String(300), nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)


def _first(op: Any) -> None:
    # Until the first release the first step is whatever the tables are; from then on each step spells out its change.
    metadata.create_all(op.get_bind())
    op.bulk_insert(generation, [{"id": 1, "value": 1}])


OWNER = "kernel"
MIGRATIONS = (Migration(revision=1, upgrade=_first, min_reader=1),)
