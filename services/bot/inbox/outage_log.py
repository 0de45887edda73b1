"""Outages in the log: one line once in a while instead of one per update."""

import time
from typing import Final

import structlog

from ledger.postgres import TRANSIENT
from services.platform.backoff import backoff_s

logger = structlog.get_logger()

_EVERY_S: Final = 30.0


def is_database_away(error: BaseException) -> bool:
    """Whether Postgres is away or busy, rather than our query wrong."""
    return isinstance(error, TRANSIENT) and not isinstance(error, ValueError)


class OutageLog:
    """Counts what had to wait; at most a line every half minute, and one when it is over."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._since: float | None = None
        self._told_at = -_EVERY_S
        self._told = False
        self._times = 0

    def met(self, error: BaseException) -> None:
        now = time.monotonic()
        self._times += 1
        if self._since is None:
            self._since = now
        if now - self._told_at < _EVERY_S:
            return
        self._told, self._told_at = True, now
        reason = f"{type(error).__name__}: {error}"[:300]
        logger.warning(
            "trouble_met",
            what=self._what,
            reason=reason,
            times=self._times,
            for_s=round(now - self._since, 1),
        )

    def over(self) -> None:
        if self._since is None:
            return
        if self._told:
            lasted_s = round(time.monotonic() - self._since, 1)
            logger.info("trouble_over", what=self._what, times=self._times, lasted_s=lasted_s)
        self._since, self._told, self._times = None, False, 0


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
