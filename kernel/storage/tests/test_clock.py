from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import RFC_4122, UUID

from cloned_storage.clock import SystemClock, timestamp, uuid7


def test_the_systems_clock_tells_utc() -> None:
    assert SystemClock().now().tzinfo is UTC


def test_timestamps_sort_as_moments_do() -> None:
    whole = datetime(2026, 1, 1, tzinfo=UTC)
    moments = [
        whole - timedelta(microseconds=1),
        whole,
        whole + timedelta(microseconds=1),
        whole + timedelta(seconds=1),
    ]
    assert sorted(map(timestamp, moments)) == [timestamp(moment) for moment in moments]
    assert timestamp(whole) == "2026-01-01T00:00:00.000000Z"


def test_a_timestamp_of_another_zone_is_told_in_utc() -> None:
    assert timestamp(datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == "2026-01-01T00:00:00.000000Z"


def test_an_id_is_a_version_7_uuid_of_the_clocks_millisecond(clock: Any) -> None:
    made = UUID(uuid7(clock))
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == int(clock.now().timestamp() * 1000)


def test_ids_sort_by_the_microsecond_they_were_minted_in(clock: Any) -> None:
    ids = []
    for _ in range(3000):
        ids.append(uuid7(clock))
        clock.advance(microseconds=1)
    assert ids == sorted(ids)


def test_ids_of_one_moment_differ(clock: Any) -> None:
    assert len({uuid7(clock) for _ in range(10_000)}) == 10_000
