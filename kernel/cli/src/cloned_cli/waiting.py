"""Stay at the terminal while a run waits for a person, and let it go on as soon as somebody has decided."""

import time
from collections.abc import Mapping
from typing import Any

from cloned_cli import show
from cloned_operations import table
from cloned_operations.context import Context
from cloned_schemas.errors import ClonedError

POLL_SECONDS = 0.5


def carry_out(row: Mapping[str, Any], inputs: dict[str, Any], context: Context, *, stay: bool) -> object:
    """The output of the operation that a command projects. Raises its refusal, but with `stay` waits for a decision.

    Ctrl-C ends the waiting, not the run: the refusal then says how it goes on.
    """
    operation_id = row["operation"]
    while True:
        try:
            return table.run(operation_id, inputs, context, row.get("plugin_id"))
        except ClonedError as error:
            waits_for, goes_on_with = error.details.get("approval_id"), error.details.get("goes_on_with")
            if not (stay and waits_for and goes_on_with):
                raise
            if not _decided(str(waits_for), context):
                raise
            operation_id, inputs = str(goes_on_with), {"id": error.details["run_id"]}


def _decided(request_id: str, context: Context) -> bool:
    """Whether somebody decided before the person here gave up."""
    show.progress(
        f"waits for a decision: 'cloned approvals approve {request_id}' in another terminal; Ctrl-C leaves it"
    )
    try:
        while _state(request_id, context) == "pending":
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        return False
    return True


def _state(request_id: str, context: Context) -> str:
    shown: Any = table.run("approvals.show", {"id": request_id}, context)
    return str(shown.approval["state"])
