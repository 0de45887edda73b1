"""The load as one process knows it: measured in Postgres, remembered for seconds."""

import asyncio
import time
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

from events.streams import job_stream
from services.adapters.kie.catalogue import Model
from services.shared.load.estimate import (
    MEASURED_MIN,
    Capacity,
    Estimate,
    Render,
    Waiting,
    believed,
    estimate,
    guess,
)
from services.shared.load.sql import query
from services.shared.periodic import PASSING
from services.shared.settings import Settings

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

logger = structlog.get_logger()

MEASURE_EVERY_S: Final = 30.0
QUEUE_KEPT_S: Final = 3.0
_EVENTS: Final = 20_000
_VIDEOS: Final = 500


def capacity(settings: Settings) -> Capacity:
    """What the provider takes, as the settings have it: every account so many creations in ten seconds."""
    per_s = len(settings.kie_keys) * settings.kie_creations_per_10_s / 10
    return Capacity(per_s, settings.user_in_flight_max)


class RenderTimes:
    """How long each model takes. Without a pool nothing is ever measured."""

    def __init__(self, pool: "Pool | None" = None) -> None:
        self._pool = pool
        self._measured: dict[str, Render] = {}

    def of(self, model: Model) -> Render:
        """What was measured, or else what the catalogue says."""
        return self._measured.get(model.slug) or guess(model.expected_s)

    async def measure(self) -> int:
        """Look at the newest videos; 0, as `repeat` wants it. Raises what asyncpg raises."""
        if self._pool is not None:
            rows = await self._pool.fetch(query("render_times"), _EVENTS, _VIDEOS)
            enough = [row for row in rows if row["videos"] >= MEASURED_MIN]
            self._measured = {row["model"]: Render(row["usual_s"], row["p95_s"]) for row in enough}
        return 0

    async def run(self) -> None:
        """Measure again and again, for ever."""
        while True:
            try:
                await self.measure()
            except PASSING as error:
                logger.warning("render_times_not_measured", error=repr(error))
            await asyncio.sleep(MEASURE_EVERY_S)

    async def whole_s(self, job: str, deadline_at_us: int) -> float:
        """How much time a job had in all. Raises what asyncpg raises."""
        if self._pool is None:
            return 0.0
        queued_at_us = await self._pool.fetchval(query("queued_at"), job_stream(job))
        return (deadline_at_us - (queued_at_us or deadline_at_us)) / 1e6


class Outlook:
    """What a seller may expect who orders now. Without a pool nobody waits."""

    def __init__(self, pool: "Pool | None" = None, capacity: Capacity | None = None) -> None:
        self.times = RenderTimes(pool)
        self._pool = pool
        self._capacity = capacity or Capacity(2.0, 20)
        self._queue: dict[str, Waiting] = {}
        self._read_at = -QUEUE_KEPT_S
        self._reading = asyncio.Lock()

    async def estimate(self, model: Model, account: str, jobs: int, deadline_s: float) -> Estimate:
        """For `jobs` more videos of `model`, each with `deadline_s`. Raises what asyncpg raises."""
        render = believed(self.times.of(model), deadline_s)
        return estimate(await self._waiting(), account, jobs, self._capacity, render)

    async def _waiting(self) -> dict[str, Waiting]:
        async with self._reading:
            if self._pool is not None and time.monotonic() - self._read_at >= QUEUE_KEPT_S:
                rows = await self._pool.fetch(query("waiting"))
                self._queue = {row["account"]: Waiting(*row[1:]) for row in rows}
                self._read_at = time.monotonic()
            return self._queue
