"""The two tables of this plugin and their history. Rows of `runs` and `steps` are the truth about a run."""

from typing import Any

import sqlalchemy as sa

from cloned_sdk.host import Migration

WHOLE = -1
"""The `iteration` of the row that says how a step as a whole ended; its calls count from 0."""

metadata = sa.MetaData()

runs = sa.Table(
    "cloned_skills__runs",
    metadata,
    sa.Column("run_id", sa.String(36), primary_key=True),
    sa.Column("pipeline_id", sa.String(160), nullable=False),
    sa.Column("pipeline_version", sa.String(40), nullable=False),
    sa.Column("plugin_id", sa.String(100), nullable=False),
    sa.Column("plugin_version", sa.String(40), nullable=False),
    sa.Column("definition", sa.String(64), nullable=False),  # SHA-256 of constitution and pipeline
    sa.Column("inputs", sa.Text, nullable=False),
    sa.Column("inputs_hash", sa.String(64), nullable=False),
    sa.Column("actor", sa.String(300), nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("step_id", sa.String(60)),  # where it stands, when it waits or has stopped
    sa.Column("error_id", sa.String(40)),
    sa.Column("reason", sa.Text),
    sa.Column("approval_id", sa.String(36)),
    sa.Column("result", sa.Text),
    sa.Column("cancel_asked", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.String(32), nullable=False),
    sa.Column("updated_at", sa.String(32), nullable=False),
    sa.Index("cloned_skills__runs_by_state", "state", "created_at"),
)

steps = sa.Table(
    "cloned_skills__steps",
    metadata,
    sa.Column("run_id", sa.String(36), primary_key=True),
    sa.Column("step_id", sa.String(60), primary_key=True),
    sa.Column("iteration", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("tool_id", sa.String(160), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("call_id", sa.String(36)),
    sa.Column("approval_id", sa.String(36)),
    sa.Column("error_id", sa.String(40)),
    sa.Column("message", sa.Text),
    sa.Column("output", sa.Text),  # only while the run may go on
    sa.Column("output_hash", sa.String(64)),
    sa.Column("costs", sa.Text, nullable=False),
    sa.Column("flags", sa.Text, nullable=False),
    sa.Column("at", sa.String(32), nullable=False),
)


def _first(op: Any) -> None:
    # Until the first release the first step is whatever the tables are; from then on each step spells out its change.
    metadata.create_all(op.get_bind())


MIGRATIONS = (Migration(revision=1, upgrade=_first, min_reader=1),)
