"""Budgets: units reserved before a call and settled after it. Never negative, never over the cap, at any concurrency.

Every function works inside a transaction that its caller owns; the database's own condition decides who gets the last
unit, so that processes need no agreement beyond it.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from cloned.monitor.records import Reservation
from cloned_schemas.errors import PolicyDenied, UserMistake
from cloned_schemas.policy import BudgetRule
from cloned_schemas.tool import Cost
from cloned_sdk.host import JsonObject
from cloned_storage.clock import timestamp
from cloned_storage.statement import Statement
from cloned_storage.tables import budget_windows as windows

UNCAPPED = "month"
_MOST = 1 << 40  # far from where the database's sums would leave the whole numbers

_HERE = sa.and_(*(windows.c[name] == sa.bindparam(f"its_{name}") for name in ("category", "period", "starts_at")))
_AMOUNT, _CAP = sa.bindparam("amount", type_=sa.BigInteger), sa.bindparam("cap", type_=sa.BigInteger)
_ROOM = sa.or_(_CAP.is_(None), windows.c.used + windows.c.reserved + _AMOUNT <= _CAP)
_TAKE = Statement(windows.update().where(_HERE, _ROOM).values(reserved=windows.c.reserved + _AMOUNT))
_FIND = Statement(sa.select(windows.c.used).where(_HERE))
_OPEN = Statement(windows.insert())
_SPENT = sa.bindparam("spent", type_=sa.BigInteger)
_SETTLE = Statement(
    windows.update().where(_HERE).values(reserved=windows.c.reserved - _AMOUNT, used=windows.c.used + _SPENT)
)


@dataclass(frozen=True, slots=True)
class BudgetState:
    """One category in its current period. `cap` is None where policy sets none."""

    category: str
    period: str
    starts_at: str
    ends_at: str
    used: int
    reserved: int
    cap: int | None


def window(period: str, now: datetime) -> tuple[datetime, datetime]:
    """The start and the end (exclusive) of the period that holds `now`, in UTC. Weeks start on Monday (ISO 8601)."""
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    if period == "hour":
        return hour, hour + timedelta(hours=1)
    if period == "day":
        return day, day + timedelta(days=1)
    if period == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def estimate(cost: Cost | None, inputs: JsonObject) -> dict[str, int]:
    """What one call takes, by category. `per` points at a list to count or at a number; else it is one unit.

    Raises UserMistake INPUT_INVALID for more than could be counted.
    """
    if cost is None:
        return {}
    if cost.estimator != "per-unit" or cost.per is None:
        return {cost.category: cost.amount}
    value: object = inputs
    for part in cost.per.strip("/").split("/"):
        value = value.get(part) if isinstance(value, dict) else None
    number = len(value) if isinstance(value, list) else value if isinstance(value, int | float) else 0
    amount = cost.amount * max(1, math.ceil(number))  # JSON's 5.0 is the whole number 5, to a schema as well
    if amount > _MOST:
        raise UserMistake("INPUT_INVALID", f"{amount} of {cost.category} are more than one call can take")
    return {cost.category: amount}


def reserve(
    connection: sa.Connection, rules: Mapping[str, BudgetRule], costs: Mapping[str, int], now: datetime
) -> tuple[Reservation, ...]:
    """Take the units or raise PolicyDenied BUDGET_EXCEEDED; the caller's transaction then undoes what was taken."""
    taken: list[Reservation] = []
    for category, amount in sorted(costs.items()):
        rule = rules.get(category)
        period = rule.period if rule else UNCAPPED
        starts, ends = window(period, now)
        reservation = Reservation(category, period, timestamp(starts), amount)
        if not _take(connection, reservation, rule.cap if rule else None):
            raise PolicyDenied(
                "BUDGET_EXCEEDED",
                f"{amount} of {category} would go over the cap of {rule.cap if rule else 0} a {period}",
                repair=f"wait until {timestamp(ends)} or raise the cap in the workspace's policy overlay",
            )
        taken.append(reservation)
    return tuple(taken)


def _take(connection: sa.Connection, wanted: Reservation, cap: int | None) -> bool:
    here = _row(wanted)
    if _TAKE.change(connection, {**here, "amount": wanted.amount, "cap": cap}) == 1:
        return True
    if _FIND.ask(connection, here).first() is not None:
        return False
    if cap is not None and wanted.amount > cap:
        return False
    values = {"category": wanted.category, "period": wanted.period, "starts_at": wanted.starts_at}
    _OPEN.change(connection, {**values, "used": 0, "reserved": wanted.amount})
    return True


def settle(connection: sa.Connection, reservations: Iterable[Reservation], *, counted: bool) -> None:
    """Turn reservations into use, or give them back."""
    for held in reservations:
        amounts = {"amount": held.amount, "spent": held.amount if counted else 0}
        _SETTLE.change(connection, {**_row(held), **amounts})


def _row(of: Reservation) -> dict[str, object]:
    return {"its_category": of.category, "its_period": of.period, "its_starts_at": of.starts_at}


def states(connection: sa.Connection, rules: Mapping[str, BudgetRule], now: datetime) -> list[BudgetState]:
    """Every category of policy, and every other that was used, in the period that holds `now`."""
    rows = {(row.category, row.period, row.starts_at): row for row in connection.execute(sa.select(windows))}
    wanted = {name: rule.period for name, rule in rules.items()}
    wanted |= {name: UNCAPPED for name, period, _ in rows if name not in rules and period == UNCAPPED}
    found = []
    for category, period in sorted(wanted.items()):
        starts, ends = window(period, now)
        row = rows.get((category, period, timestamp(starts)))
        cap = rules[category].cap if category in rules else None
        used, reserved = (row.used, row.reserved) if row else (0, 0)
        found.append(BudgetState(category, period, timestamp(starts), timestamp(ends), used, reserved, cap))
    return found
