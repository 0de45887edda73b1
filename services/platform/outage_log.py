"""Outages in the log: a line when one begins, one when it is over, and one in ten minutes.

Whoever waits tells POSTGRES or REDIS, or a log of its own, with `met` and `over`. Twenty tasks that wait
for one server are one outage.
"""

import time
from typing import Any, Final

import structlog

from ledger.postgres import TRANSIENT
from services.platform.backoff import backoff_s

logger = structlog.get_logger()

_EVERY_S: Final = 600.0


def is_database_away(error: BaseException) -> bool:
    """Whether Postgres is away or busy, rather than our query wrong."""
    return isinstance(error, TRANSIENT) and not isinstance(error, ValueError)


class OutageLog:
    """Counts what had to wait for `what`, by who waits."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._waiting: set[str] = set()
        self._met: set[str] = set()
        self._since = self._told_at = 0.0
        self._times = 0

    def met(self, error: BaseException, who: str = "") -> None:
        now = time.monotonic()
        if not self._waiting:
            self._met, self._since, self._told_at, self._times = set(), now, now - _EVERY_S, 0
        self._times += 1
        self._waiting.add(who)
        self._met.add(who)
        if now - self._told_at >= _EVERY_S:
            self._told_at = now
            reason = f"{type(error).__name__}: {error}"[:300]
            logger.warning("trouble_met", reason=reason, for_s=round(now - self._since, 1), **self._facts())

    def over(self, who: str = "") -> None:
        if who in self._waiting:
            self._waiting.discard(who)
            if not self._waiting:
                lasted_s = round(time.monotonic() - self._since, 1)
                logger.info("trouble_over", lasted_s=lasted_s, **self._facts())

    def _facts(self) -> dict[str, Any]:
        waited = {"who": " ".join(sorted(self._met))} if self._met != {""} else {}
        return {"what": self._what, "times": self._times, **waited}


POSTGRES: Final = OutageLog("Postgres")
"""What this process waits for."""
REDIS: Final = OutageLog("Redis")


class Pauses:
    """Back-off between attempts, up to 5 s."""

    def __init__(self) -> None:
        self._failures = 0
        self._began = time.monotonic()

    @property
    def waited_s(self) -> float:
        return time.monotonic() - self._began

    def next_s(self) -> float:
        self._failures += 1
        return backoff_s(self._failures, 0.2, 5.0)
