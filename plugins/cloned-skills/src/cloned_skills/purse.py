"""What one run may spend: the constitution's `max_cost`, counted over its own calls. Policy's budgets are not here."""

import threading
from collections import Counter
from collections.abc import Mapping

from cloned_sdk.host import Refused


class Purse:
    """Units taken by a run, by category; safe from several threads.

    A call's cost is known for certain only afterwards, so one unit is held for each call under way and the real cost
    takes its place. A run whose calls cost one unit each never goes over; a dearer call that does is its last.
    """

    def __init__(self, limits: Mapping[str, int], spent: Mapping[str, int]) -> None:
        self._limits = dict(limits)
        self._spent = Counter(spent)
        self._lock = threading.Lock()

    def hold(self, category: str | None) -> None:
        """Hold one unit before a call. Raises Refused BUDGET_RUN_EXCEEDED when none is left."""
        with self._lock:
            for name, limit in sorted(self._limits.items()):
                if self._spent[name] + (name == category) > limit:
                    fact = f"the run's constitution grants {limit} of {name}, and {self._spent[name]} are taken"
                    raise Refused("BUDGET_RUN_EXCEEDED", fact)
            if category in self._limits:
                self._spent[category] += 1

    def settle(self, category: str | None, costs: Mapping[str, int]) -> None:
        """Put the real cost in the place of the held unit."""
        with self._lock:
            if category in self._limits:
                self._spent[category] -= 1
            self._spent.update(costs)
