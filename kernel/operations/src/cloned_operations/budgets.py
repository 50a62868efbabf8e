"""Operations on budgets: what the current periods have left."""

from dataclasses import asdict
from typing import Any

import msgspec

from cloned.monitor import budgets
from cloned_operations.context import Context
from cloned_sdk.host import Operation


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No inputs."""


class Listed(msgspec.Struct, frozen=True):
    """One row a category: cap, used, reserved by calls under way, and left (null where nothing caps it)."""

    budgets: list[dict[str, Any]]


def _list(context: Context, _: Nothing) -> Listed:
    workspace = context.workspace
    policy = workspace.authority.current().policy
    rules = policy.budgets if policy else {}
    with workspace.database.read() as connection:
        states = budgets.states(connection, rules, workspace.clock.now())
    return Listed(
        [
            asdict(state) | {"left": None if state.cap is None else max(0, state.cap - state.used - state.reserved)}
            for state in states
        ]
    )


LIST = Operation("budgets.list", "What is left of each budget in its current period", "read", Nothing, Listed, _list)
