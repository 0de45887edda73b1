"""Scheduler of one process's periodic tasks, independent of each other."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog

from ledger.postgres import DATABASE_ERRORS
from services.platform.metrics import ROUND_AT, ROUND_FAILURES
from services.platform.periodic import repeat, sleep
from services.platform.process import Runtime

logger = structlog.get_logger()

RunOnce = Callable[[], Awaitable[int]]

FAILED_PAUSE_S: Final = 5.0
"""After an error that nobody expected; what passes by itself is tried again sooner."""


class _Rounds(msgspec.Struct):
    ended_s: float | None = None
    last: int = 0
    total: int = 0


class Scheduler:
    """Starts tasks; /health/status has their rounds under `rounds`."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._rounds: dict[str, _Rounds] = {}
        runtime.health.tell({"rounds": self.status})

    def start(self, name: str, run_once: RunOnce, idle_s: float, *, at_once: bool = False) -> None:
        """Run it for ever, `idle_s` apart; `at_once`: no pause after work."""
        rounds = self._rounds[name] = _Rounds()

        async def guarded() -> int:
            try:
                done = await run_once()
            except DATABASE_ERRORS:
                raise  # `repeat` knows what to do
            except Exception:
                ROUND_FAILURES.labels(name).inc()
                logger.exception("round_failed", round=name, again_in_s=FAILED_PAUSE_S)
                await sleep(FAILED_PAUSE_S, self._runtime.stop)
                return 1  # no other pause: it is tried again now
            rounds.ended_s, rounds.last = time.monotonic(), done
            rounds.total += done
            ROUND_AT.labels(name).set_to_current_time()
            return done if at_once else 0

        ROUND_FAILURES.labels(name)
        ROUND_AT.labels(name).set_to_current_time()  # else no alarm would miss a first round
        self._runtime.spawn(repeat(guarded, self._runtime.stop, name, idle_s=idle_s), name)

    def status(self) -> dict[str, Any]:
        """Per task: seconds since its last good round (None: none), what that did, and in all."""
        now_s = time.monotonic()
        return {
            name: {
                "ago_s": None if rounds.ended_s is None else round(now_s - rounds.ended_s, 1),
                "last": rounds.last,
                "total": rounds.total,
            }
            for name, rounds in self._rounds.items()
        }
