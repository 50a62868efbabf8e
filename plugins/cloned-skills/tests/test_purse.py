"""A run spends no more than its constitution grants, however many threads ask at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from cloned_sdk.host import Refused
from cloned_skills.purse import Purse


def taken(purse: Purse) -> bool:
    try:
        purse.hold("api")
    except Refused as refusal:
        assert refusal.error_id == "BUDGET_RUN_EXCEEDED"  # noqa: PT017 - the other outcome is right too
        return False
    purse.settle("api", {"api": 1})
    return True


def test_fifty_callers_share_seven_units() -> None:
    purse = Purse({"api": 7}, {})
    with ThreadPoolExecutor(max_workers=16) as pool:
        assert sum(pool.map(lambda _: taken(purse), range(50))) == 7


def test_what_an_earlier_process_spent_counts() -> None:
    assert not taken(Purse({"api": 3}, {"api": 3}))


def test_a_call_that_cost_nothing_gives_its_unit_back() -> None:
    purse = Purse({"api": 1}, {})
    purse.hold("api")
    purse.settle("api", {})
    assert taken(purse)


def test_after_a_call_dearer_than_the_rest_no_other_begins() -> None:
    purse = Purse({"api": 5}, {})
    purse.hold("api")
    purse.settle("api", {"api": 9})
    for category in ("api", None, "other"):
        with pytest.raises(Refused):
            purse.hold(category)


def test_a_category_without_a_limit_is_not_counted_against_it() -> None:
    purse = Purse({}, {})
    purse.hold("api")
    purse.settle("api", {"api": 1000})
    purse.hold("api")
