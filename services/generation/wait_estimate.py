"""Wait estimate from the load: measured in Postgres, cached for seconds."""

import asyncio
import math
import time
from collections.abc import Mapping
from typing import Final

import msgspec
import structlog

from events.stream_names import job_stream
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.generation.catalogue import Model
from services.platform.settings import Settings

query = load_queries("services.generation")

logger = structlog.get_logger()
# How long a video will take, and whether that is in time. Pure.


MEASURED_MIN: Final = 20
"""So many videos of a model make a measurement: of fewer, one slow one would be the 95th percentile."""
GUESS_FACTOR: Final = 1.5
"""The catalogue says how long a model usually takes; nearly always it takes at most this times that."""


class Render(msgspec.Struct, frozen=True):
    """Seconds from a task's acceptance to its video: usually, and 95th percentile."""

    usual_s: float
    p95_s: float
    measured: bool = True


class Waiting(msgspec.Struct, frozen=True):
    """A seller's unfinished jobs: not submitted, in all; the age of the oldest not started."""

    waiting: int
    open: int
    unstarted_s: float = 0.0


class Capacity(msgspec.Struct, frozen=True):
    """What the provider takes: from all accounts together, and of one seller at once."""

    per_s: float
    in_flight_max: int


class Estimate(msgspec.Struct, frozen=True):
    """Seconds until the last job's submission, and until its video: usually, and p95."""

    wait_s: float
    usual_s: float
    p95_s: float

    def too_late_s(self, deadline_s: float) -> float:
        return max(0.0, self.p95_s - deadline_s)


def guess(expected_s: float) -> Render:
    return Render(expected_s, expected_s * GUESS_FACTOR, measured=False)


def believed(render: Render, whole_s: float) -> Render:
    """Figures for jobs that have `whole_s` in all, if plausible. A guess by which none is in time is wrong (a
    quicker provider, e.g. the sandbox): nothing is known until measured."""
    if render.measured or render.p95_s < whole_s:
        return render
    return Render(min(render.usual_s, whole_s), 0.0, measured=False)


def estimate(
    queue: Mapping[str, Waiting], account: str, jobs: int, capacity: Capacity, render: Render
) -> Estimate:
    """Estimate `jobs` more of `account`; turns are fair between sellers."""
    mine = queue.get(account, Waiting(0, 0))
    own = mine.waiting + jobs
    others = sum(min(each.waiting, own) for name, each in queue.items() if name != account)
    by_rate_s = (others + own - 1) / capacity.per_s
    # Nobody has started these: too few workers, or none. A new job will not fare better.
    by_age_s = max((each.unstarted_s for each in queue.values()), default=0.0)
    rendering = mine.open - mine.waiting
    waves = math.ceil((rendering + own) / capacity.in_flight_max) - 1
    wait_s = max(by_rate_s, by_age_s) + max(0, waves) * render.usual_s
    return Estimate(wait_s, wait_s + render.usual_s, wait_s + render.p95_s)


MEASURE_EVERY_S: Final = 30.0
QUEUE_KEPT_S: Final = 3.0
LATELY: Final = 50
LATELY_MIN: Final = 5
"""Of fewer videos of a model and length nobody is told a time."""
_EVENTS: Final = 20_000
_VIDEOS: Final = 500


def capacity(settings: Settings) -> Capacity:
    per_s = (settings.kie_accounts or len(settings.kie_keys)) * settings.kie_creations_per_10_s / 10
    return Capacity(per_s, settings.user_in_flight_max)


class RenderTimes:
    """Measured render times by model. Without a pool nothing is ever measured."""

    def __init__(self, pool: Pool | None = None) -> None:
        self._pool = pool
        self._measured: dict[str, Render] = {}
        self._lately_s: dict[tuple[str, int], float] = {}

    def lately_s(self, model: str, seconds: int) -> float | None:
        """Median of the last LATELY videos of that model and length; None: fewer than LATELY_MIN."""
        return self._lately_s.get((model, seconds))

    def of(self, model: Model) -> Render:
        return self._measured.get(model.slug) or guess(model.expected_s)

    async def measure(self) -> int:
        """Measure the newest videos; 0, as `repeat` wants it. Raises what asyncpg raises."""
        if self._pool is not None:
            rows = await self._pool.fetch(query("render_times"), _EVENTS, _VIDEOS, LATELY)
            enough = [row for row in rows if row["seconds"] is None and row["videos"] >= MEASURED_MIN]
            self._lately_s = {
                (row["model"], row["seconds"]): row["lately_s"]
                for row in rows
                if row["seconds"] is not None and row["videos"] >= LATELY_MIN
            }
            self._measured = {row["model"]: Render(row["usual_s"], row["p95_s"]) for row in enough}
        return 0

    async def whole_s(self, job: str, deadline_at_us: int) -> float:
        """A job's time in all, in seconds. Raises what asyncpg raises."""
        if self._pool is None:
            return 0.0
        queued_at_us = await self._pool.fetchval(query("queued_at"), job_stream(job))
        return (deadline_at_us - (queued_at_us or deadline_at_us)) / 1e6


class Outlook:
    """Wait estimate for an order now. Without a pool nobody waits."""

    def __init__(self, pool: Pool | None = None, capacity: Capacity | None = None) -> None:
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
