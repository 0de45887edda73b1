"""The relay: publishes the log to the Redis streams, in order, exactly once.

    look at streams and log ──▶ publish what follows ──▶ wait for a hint or a second ─┐
      ▲    (_find_place)    ◀── the streams are elsewhere ──┴──◀──────────────────────┘

Two relays at once only get in each other's way: of two scripts for the same positions one writes nothing.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from events.envelope import Cursor, Recorded
from ledger.errors import IntegrityError
from ledger.log.reader import LogReader
from ledger.postgres import DATABASE_ERRORS, Pool
from ledger.sql import load_queries
from services.platform import tracing
from services.platform.backoff import backoff_s
from services.platform.outage_log import OutageLog
from services.platform.periodic import sleep
from services.platform.redis_keys import JOBS
from services.relay import metrics
from services.streams.entries import entry_id, job_entry
from services.streams.pg_listen import LogListener
from services.streams.publisher.recreate import ConsistencyCheck, StreamMaker
from services.streams.publisher.scripts import Place, Scripts, StreamState

query = load_queries("services.streams.publisher")

logger = structlog.get_logger()


def record_sends(batch: Sequence[Recorded], times_ns: tuple[int, int]) -> None:
    """Add spans for what was published between `times_ns` (time.time_ns) to jobs' traces."""
    for event in batch:
        entry = job_entry(event)
        if entry is None:
            continue
        message: dict[str, tracing.Value] = {
            "messaging.system": "redis",
            "messaging.operation.type": "send",
            "messaging.operation.name": "send",
            "messaging.destination.name": JOBS,
            "messaging.message.id": entry_id(entry.position),
            "messaging.batch.message_count": len(batch),
        }
        tracing.record(
            "send jobs",
            "producer",
            entry.job,
            times_ns,
            attributes=message,
            position=entry.position,
            event=entry.type,
        )


PAGE_EVENTS = 1000
BATCH_BYTES = 2_000_000
"""Above this a page is published in several batches: a script keeps everyone else waiting."""
POLL_S = 1.0
TRIM_EVERY_S = 10.0
HALTED_RETRY_S = 5.0
_TROUBLE = (RedisError, *DATABASE_ERRORS)


class Relay:
    """One relay. Stateless: whatever it remembers is checked against streams and log before use."""

    def __init__(
        self,
        pool: Pool,
        redis: Redis,
        listener: LogListener,
        *,
        ledger_entries_max: int = 100_000,
        reach_back: int = 10_000,
        poll_s: float = POLL_S,
        trim_every_s: float = TRIM_EVERY_S,
        halted_retry_s: float = HALTED_RETRY_S,
    ) -> None:
        self._pool = pool
        self._reader = LogReader(pool)
        self._scripts = Scripts(redis, ledger_entries_max=ledger_entries_max)
        self._maker = StreamMaker(pool, self._scripts, reach_back=reach_back)
        self._check = ConsistencyCheck(pool, self._maker)
        self._listener = listener
        self._poll_s = poll_s
        self._trim_every_s = trim_every_s
        self._halted_retry_s = halted_retry_s
        self._trim_at = time.monotonic() + trim_every_s
        self._position = self._head = 0
        self._halted = ""
        self._failures = 0
        self._trouble = OutageLog("publishing")

    def status(self) -> dict[str, Any]:
        return {
            "position": self._position,
            "head": self._head,
            "lag": self._head - self._position,
            "halted": self._halted,
        }

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`. Waits out servers that are away, and streams that the log contradicts."""
        raced = 0
        while not stop.is_set():
            try:
                place = await self._find_place()
                if place is None:
                    raced += 1
                    await sleep(backoff_s(raced, 0.01, 0.5), stop)
                    continue
                raced = 0
                metrics.HALTED.set(0)
                self._halted = ""
                await self._publish_from(place, stop)
            except IntegrityError as error:
                metrics.HALTED.set(1)
                self._halted = str(error)
                logger.error(
                    "relay_halted", position=self._position, reason=str(error), retry_s=self._halted_retry_s
                )
                await sleep(self._halted_retry_s, stop)
            except _TROUBLE as error:
                metrics.TROUBLES.inc()
                self._failures += 1
                self._trim_at = 0.0  # a Redis whose disk is full can be read: well is what takes writes
                self._trouble.met(error)
                await sleep(backoff_s(self._failures, 0.1, 5.0), stop)

    async def _find_place(self) -> Place | None:
        """Where to publish on, in streams made anew if need be; None: look again. Raises StreamMismatchError
        when the streams hold what the log does not."""
        seen = await self._scripts.state()
        head = await self._reader.head()
        cursor = await self._check.confirmed(seen, head)
        reason = await self._check.unusable(seen, cursor, head)
        if reason is None:
            return Place(cursor, seen.jobs_last, seen.epoch)
        place = await self._maker.make_anew(seen, head, reason)
        if place is not None:
            metrics.RECOVERIES.inc()
        return place

    async def _publish_from(self, place: Place, stop: asyncio.Event) -> None:
        """Publish from `place`, until `stop` or until the streams are elsewhere."""
        self._came_to(place.cursor.position)
        page = await self._page_after(place.cursor)
        while not stop.is_set():
            if page:
                ahead = asyncio.create_task(self._page_after(page[-1].cursor))
                try:
                    reached = await self._publish(place, page)
                    if reached is None:
                        return
                    place, page = reached, await ahead
                finally:
                    ahead.cancel()
                    await asyncio.gather(ahead, return_exceptions=True)
            else:
                await self._listener.wait(self._poll_s)
                page = await self._page_after(place.cursor)
                if not page and not is_at(await self._scripts.state(), place):
                    return
            await self._housekeep(place)

    async def _publish(self, place: Place, page: Sequence[Recorded]) -> Place | None:
        for batch in _batches(page):
            began_ns = time.time_ns()
            reached = await self._scripts.publish(place, batch)
            if reached is None:
                logger.debug("streams_elsewhere", expected=place.cursor.position)
                return None
            place = reached
            metrics.PUBLISHED.inc(len(batch))
            self._came_to(place.cursor.position)
            if tracing.on():
                record_sends(batch, (began_ns, time.time_ns()))
        return place

    def _came_to(self, position: int) -> None:
        self._position, self._head = position, max(position, self._head)
        metrics.POSITION.set(position)
        metrics.LAG.set(self._head - position)

    async def _page_after(self, cursor: Cursor) -> list[Recorded]:
        """Read the log after `cursor`. Raises IntegrityError."""
        events = await self._reader.following(cursor, PAGE_EVENTS)
        if events:
            self._head = max(self._head, events[-1].position)
        return events

    async def _housekeep(self, place: Place) -> None:
        if time.monotonic() < self._trim_at:
            return
        self._trim_at = time.monotonic() + self._trim_every_s
        self._head = (await self._reader.head()).position
        self._came_to(place.cursor.position)
        trimmed = await self._scripts.trim_jobs(await self._pool.fetchval(query("lowest_unfinished")))
        self._failures = 0
        self._trouble.over()
        if trimmed:
            logger.debug("jobs_trimmed", entries=trimmed)


def _batches(page: Sequence[Recorded]) -> Iterator[Sequence[Recorded]]:
    start = size = 0
    for index, event in enumerate(page):
        size += len(event.data)
        if size > BATCH_BYTES:
            yield page[start : index + 1]
            start, size = index + 1, 0
    if start < len(page):
        yield page[start:]


def is_at(state: StreamState, place: Place) -> bool:
    here = entry_id(place.cursor.position)
    same_hash = state.last is None or state.last.hash == place.cursor.hash
    same = (state.ledger_last, state.jobs_last, state.epoch) == (here, place.jobs_last, place.epoch)
    return same and same_hash
