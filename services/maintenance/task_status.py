"""What the monitor has done, round by round: for /health/status, and for an alert on what has stopped."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from services.monitor.metrics import ROUND_AT


class TaskStatus:
    """Remembers the last round of each kind that ended well."""

    def __init__(self) -> None:
        self._ended_s: dict[str, float] = {}
        self._last: dict[str, int] = {}
        self._total: dict[str, int] = {}

    def of(
        self, kind: str, run_once: Callable[[], Awaitable[int]], *, at_once: bool = False
    ) -> Callable[[], Awaitable[int]]:
        """`run_once` for `repeat`, remembered. What it raises passes through.

        With `at_once` a round that has done something is followed by the next one without a pause.
        """
        self._total[kind] = 0

        async def round_once() -> int:
            done = await run_once()
            self._ended_s[kind] = time.monotonic()
            self._last[kind] = done
            self._total[kind] += done
            ROUND_AT.labels(kind).set_to_current_time()
            return done if at_once else 0

        return round_once

    def status(self) -> dict[str, Any]:
        """Per kind: seconds since the last good round (None before it), what that did, and all of them."""
        now_s = time.monotonic()
        return {
            kind: {
                "ago_s": round(now_s - self._ended_s[kind], 1) if kind in self._ended_s else None,
                "last": self._last.get(kind, 0),
                "total": total,
            }
            for kind, total in self._total.items()
        }
