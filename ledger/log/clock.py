"""Time to decide at: the one that was believed last, carried on by the machine's uptime clock.

Which is believed is judged in the database from three clocks: its own, this machine's, and a witness from
outside (docs/decisions/log-door.md).
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec

WITNESS_US_MAX: Final = 600_000_000
"""So long a witness's time is carried on: a machine's uptime clock is off by milliseconds then."""

_UPTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while the machine is suspended


def wall_us() -> int:
    return time.time_ns() // 1000


def uptime_us() -> int:
    return time.clock_gettime_ns(_UPTIME) // 1000


class CarriedTime(msgspec.Struct, frozen=True):
    """Time that was told, and when by the uptime clock; microseconds."""

    told_us: int
    at_us: int

    def now_us(self) -> int | None:
        """What it is by now; None when it is too old."""
        age_us = uptime_us() - self.at_us
        return self.told_us + age_us if 0 <= age_us <= WITNESS_US_MAX else None


class LogClock:
    """Epoch microseconds; the machine's own time until the database has answered.

    `witness` tells an outside company's time, None where none is known: then what others have told is heard.
    On the database's machine the own clock is the database's and says nothing about it.
    """

    def __init__(self, witness: Callable[[], int | None] = lambda: None) -> None:
        self._offset_us = wall_us() - uptime_us()
        self._heard: CarriedTime | None = None
        self.witness = witness
        self.same_machine = True

    def now_us(self) -> int:
        return uptime_us() + self._offset_us

    def set(self, believed_us: int) -> None:
        self._offset_us = believed_us - uptime_us()

    def hear(self, witness_us: int) -> None:
        """What a witness of others says now."""
        self._heard = CarriedTime(witness_us, uptime_us())

    def wall_us(self) -> int | None:
        """The own clock's time; None where it tells nothing about the database's."""
        return None if self.same_machine else wall_us()

    def heard_us(self) -> int | None:
        return None if self._heard is None else self._heard.now_us()

    def others_us(self) -> tuple[int | None, int | None]:
        """The own clock's time, and a witness's."""
        own_us = self.witness()
        return self.wall_us(), self.heard_us() if own_us is None else own_us
