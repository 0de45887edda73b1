"""Requests per key and time, as the provider counts them. In memory: a restart starts a new window."""

from __future__ import annotations

from collections import deque

from services.sandbox.context import Context
from services.sandbox.kie.wire import RATE_LIMITED, KieError


class Limits:
    """One per sandbox (`ctx.part(Limits, Limits)`)."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._passed: dict[tuple[str, str], deque[float]] = {}

    def check(self, call: str, key: str, limit: int, window_s: float) -> None:
        """Count one call. Raises KieError 429 when `limit` (0: none) were let through in the last window."""
        if limit == 0:
            return
        now = self._ctx.clock.now()
        passed = self._passed.setdefault((call, key), deque())
        while passed and passed[0] <= now - window_s:
            passed.popleft()
        if len(passed) >= limit:
            raise KieError(429, RATE_LIMITED)
        passed.append(now)
