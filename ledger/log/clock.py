"""Time to decide at: the database's as last heard, carried on by the machine's uptime clock.

What is stamped is judged in the database from three clocks: its own, this machine's, and a witness from
outside (docs/decisions/log-door.md).
"""

import time
from collections.abc import Callable

_UPTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while the machine is suspended


def wall_us() -> int:
    return time.time_ns() // 1000


def uptime_us() -> int:
    return time.clock_gettime_ns(_UPTIME) // 1000


class LogClock:
    """Epoch microseconds; the machine's own time until the database has answered.

    `witness` tells an outside company's time, None where none is known. On the database's machine the own
    clock is the database's and says nothing about it.
    """

    def __init__(self, witness: Callable[[], int | None] = lambda: None) -> None:
        self._offset_us = wall_us() - uptime_us()
        self._floor_us = 0
        self._witness = witness
        self.same_machine = True

    def now_us(self) -> int:
        return max(uptime_us() + self._offset_us, self._floor_us)

    def set(self, clock_us: int, floor_us: int) -> None:
        """Follow the clock that is stamped by; nothing is stamped below `floor_us`."""
        self._offset_us = clock_us - uptime_us()
        self._floor_us = floor_us

    def others_us(self) -> tuple[int | None, int | None]:
        """The own and the witness's time; None where it tells nothing about the database's."""
        return (None if self.same_machine else wall_us()), self._witness()
