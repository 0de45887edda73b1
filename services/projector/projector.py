"""Follower of the log for one projection, through Redis or Postgres outages."""

import asyncio
from typing import Any

import structlog
from asyncpg import UndefinedColumnError

from events.envelope import Cursor
from events.errors import CodecError
from ledger.errors import IntegrityError
from ledger.postgres import DATABASE_ERRORS
from projections.engine.errors import ProjectionError
from projections.engine.runner import Runner
from services.platform.backoff import backoff_s
from services.platform.outage_log import POSTGRES
from services.platform.periodic import sleep
from services.projector import metrics
from services.projector.shared_feed import Read
from services.streams.feed import HeadWatch

logger = structlog.get_logger()

BATCH_EVENTS = 1000
STOPPED_RETRY_S = 5.0
"""Soon, since after `neurocards recover` sellers wait for what these tables show."""
_STOPS = (CodecError, ProjectionError, IntegrityError, UndefinedColumnError)
"""Nothing but a person helps: newer code (also for a table that it has changed), a rebuild, or `neurocards
recover`."""


class Follower:
    def __init__(
        self,
        runner: Runner,
        read: Read,
        *,
        pace_s: float = 0,
        stopped_retry_s: float = STOPPED_RETRY_S,
    ) -> None:
        """Pause `pace_s` seconds after a batch that was not full: fewer, larger batches."""
        self._runner = runner
        self._pace_s = pace_s
        self._read = read
        self._stopped_retry_s = stopped_retry_s
        self._name = runner.projection.name
        self._reached: Cursor | None = None
        self._position = 0
        self._stopped = ""

    def status(self, head: HeadWatch) -> dict[str, Any]:
        return {"position": self._position, "lag": head.lag(self._position), "stopped": self._stopped}

    async def run(self, stop: asyncio.Event) -> None:
        """Apply events until `stop`. What cannot be applied stops this projection alone, with an error in the
        log at every retry; the others, and readers of this one's rows, go on."""
        failures = 0
        while not stop.is_set():
            try:
                await self._follow(stop)
            except _STOPS as error:
                self._stopped, self._reached = str(error), None  # the complaint is made
                metrics.STOPPED.labels(self._name).set(1)
                logger.error(
                    "projection_stopped",
                    projection=self._name,
                    position=self._position,
                    reason=str(error),
                    kind=type(error).__name__,
                )
                await sleep(self._stopped_retry_s, stop)
            except DATABASE_ERRORS as error:
                POSTGRES.met(error, self._name)
                failures += 1
                await sleep(backoff_s(failures, 0.1, 5.0), stop)
            else:
                failures = 0

    async def _follow(self, stop: asyncio.Event) -> None:
        cursor = await self._runner.cursor()
        await self._notice_restore(cursor)
        if cursor.position > self._position:  # a newer version's process could read what we could not
            self._goes_on()
        self._came_to(cursor)
        POSTGRES.over(self._name)
        while not stop.is_set():
            events = await self._read(cursor, limit=BATCH_EVENTS, wait_s=1.0)
            if events:
                cursor = self._reached = await self._runner.apply(events)
                metrics.APPLIED.labels(self._name).inc(len(events))
                self._goes_on()
                self._came_to(cursor)
            if self._pace_s and 0 < len(events) < BATCH_EVENTS:
                await sleep(self._pace_s, stop)

    def _goes_on(self) -> None:
        metrics.STOPPED.labels(self._name).set(0)
        self._stopped = ""

    def _came_to(self, cursor: Cursor) -> None:
        self._position = cursor.position
        metrics.POSITION.labels(self._name).set(cursor.position)

    async def _notice_restore(self, stored: Cursor) -> None:
        """Detect a restore: the table is behind where we left it. Complain once if the log was too. Then go
        on from the table: with the log as it is now, it is right."""
        reached, self._reached = self._reached, None
        if reached is not None and reached.position > stored.position:
            await self._runner.check(reached)
