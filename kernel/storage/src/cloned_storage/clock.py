"""The one source of time and of row ids. Everything else is lent a Clock and reads no wall clock itself."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANDOM_BITS = 62


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The present moment, aware and in UTC."""


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment, aware and in UTC."""
        return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC, always with six digits of a second and `Z`, so that strings sort as moments do."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def uuid7(clock: Clock) -> str:
    """A new UUIDv7 (RFC 9562, section 5.7): ids sort by the microsecond they were minted in, by the clock given.

    The 12 bits after the milliseconds hold the fraction of the millisecond (the RFC's method 3); 62 bits are random.
    """
    microseconds = (clock.now() - _EPOCH) // timedelta(microseconds=1)
    milliseconds, rest = divmod(microseconds, 1000)
    head = (milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | (rest << 12) // 1000 << 64
    text = f"{head | 0b10 << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
