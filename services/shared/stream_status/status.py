"""The streams and their readers beside the log.

A lag in positions says how many, the age of the oldest event that is not applied says how late: the latter is
read from the log, so it is right also for a reader that died long ago, and for one that sleeps in between.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

import asyncpg
import msgspec
from redis.asyncio import Redis

from events.streams import job_of
from services.shared.publishing.sql import query as publishing_query
from services.shared.stream_status.in_redis import Consumer, Group, InRedis, Stream, look
from services.shared.stream_status.sql import query
from services.shared.streams import LEDGER, JobEntry, position_of

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

Tail = Literal[
    "as the log", "behind", "trimmed", "empty", "missing", "lacks unfinished jobs", "ahead of ledger",
    "ahead of the log", "differs from the log", "not ours",
]  # fmt: skip
CONTRADICTIONS: frozenset[Tail] = frozenset({"ahead of the log", "differs from the log", "not ours"})
"""What needs `neurocards recover`, or somebody who looks."""

RELAY = "relay"


class StreamLine(msgspec.Struct, frozen=True):
    """One stream. `first` and `last` are positions; `tail` says what its end is beside the log."""

    stream: str
    entries: int
    first: int | None
    last: int | None
    tail: Tail
    memory_bytes: int


class ReaderLine(msgspec.Struct, frozen=True):
    """Who follows the log: the relay, an in-order consumer (its cursor is in Postgres), a consumer group.

    `lag` counts positions, from the oldest event that it has not applied or not been given up to the newest;
    `lag_s` is that oldest event's age. Both are 0 when there is none.
    `moved_s` is how long ago a cursor was moved last. `held`: the log still holds what it has applied.
    """

    reader: str
    position: int | None
    lag: int | None
    lag_s: float | None
    moved_s: float | None = None
    pending: int | None = None
    oldest_pending_s: float | None = None
    held: bool = True


class ConsumerLine(msgspec.Struct, frozen=True):
    """A worker's seat in the group. `renewed_s` ago it was renewed last; None: nobody sits there."""

    consumer: str
    pending: int
    renewed_s: float | None


class Status(msgspec.Struct, frozen=True):
    """All of it. `redis` is why Redis says nothing, None when it does. `epoch` is empty without one."""

    head: int
    epoch: str
    open_jobs: int
    oldest_open_s: float | None
    streams: list[StreamLine]
    readers: list[ReaderLine]
    consumers: list[ConsumerLine]
    redis: str | None = None

    @property
    def contradicted(self) -> bool:
        """Whether something holds what the log does not."""
        return any(line.tail in CONTRADICTIONS for line in self.streams) or not all(
            line.held for line in self.readers
        )


class Event(msgspec.Struct, frozen=True):
    """What of the log is looked at."""

    recorded_at_us: int
    hash: bytes
    stream: str
    type: str


async def stream_status(redis: Redis, pool: "Pool", *, lease_s: float) -> Status:
    """Look at everything once; at Redis first, so that what it holds must be in the log when that is read.

    `lease_s` is the workers' setting: for how long a seat is held. Raises RedisError.
    """
    return await _status(pool, await look(redis), None, lease_s)


async def status_without_redis(pool: "Pool", reason: str) -> Status:
    """What Postgres alone can tell, when Redis is away."""
    return await _status(pool, None, reason, 0)


async def _status(pool: "Pool", found: InRedis | None, reason: str | None, lease_s: float) -> Status:
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),  # all as of one moment
    ):
        head = await connection.fetchrow(query("head"))
        assert head is not None
        cursors = await connection.fetch(query("readers"))
        wanted = [head["oldest"] or 0, *(_positions(found) if found else [])]
        rows = await connection.fetch(query("events_at"), wanted)
        published = position_of(found.streams[0].last) or 0 if found else 0
        newest = await connection.fetchval(publishing_query("newest_open_job"), published)
    events = {row["position"]: Event(*list(row.values())[1:]) for row in rows}
    now_us, end = head["now_us"], head["position"]

    def age_s(position: int | None) -> float | None:
        event = events.get(position or 0)
        return None if event is None else max(now_us - event.recorded_at_us, 0) / 1e6

    readers = [_cursor(row, end, now_us) for row in cursors]
    lines, consumers = [], []
    if found is not None:
        ledger, jobs = found.streams
        lines = [_stream(ledger, end, events, 0), _stream(jobs, published, events, newest)]
        relay = ReaderLine(RELAY, published, max(end - published, 0), age_s(published + 1) or 0.0)
        readers = [relay, *readers, *(_group(group, found, age_s) for group in found.groups)]
        consumers = [_consumer(consumer, lease_s) for consumer in found.consumers]
    epoch = found.epoch if found else ""
    return Status(end, epoch, head["open_jobs"], age_s(head["oldest"]), lines, readers, consumers, reason)


def _positions(found: InRedis) -> list[int]:
    """Positions of the events to be looked at."""
    ends = [position_of(stream.last) or 0 for stream in found.streams]
    of_groups = [at for group in found.groups for at in (group.next, group.oldest_pending) if at]
    return [*ends, ends[0] + 1, *of_groups]


def _stream(stream: Stream, end: int, events: Mapping[int, Event], newest_open: int) -> StreamLine:
    first = position_of(stream.first) if stream.first else None
    tail = tail_of(stream, end, events, newest_open)
    last = position_of(stream.last)
    return StreamLine(stream.name, stream.entries, first, last, tail, stream.memory_bytes)


def tail_of(stream: Stream, end: int, events: Mapping[int, Event], newest_open: int) -> Tail:
    """What the stream's end is beside the log, which for `jobs` is what was published of it."""
    last = position_of(stream.last)
    if not stream.there:
        return "missing" if end else "empty"  # before the first event nobody has anything to write
    if last is None or stream.foreign:
        return "not ours"
    if last > end:
        return "ahead of the log" if stream.name == LEDGER else "ahead of ledger"
    if stream.tail is not None and not _same(stream.tail, events.get(last)):
        return "differs from the log"
    if last < newest_open:
        return "lacks unfinished jobs"
    if stream.name == LEDGER and last < end:
        return "behind"
    if stream.tail is None:
        return "trimmed" if last else "empty"
    return "as the log"


def _same(tail: bytes | JobEntry, event: Event | None) -> bool:
    if event is None:
        return False
    if isinstance(tail, bytes):
        return event.hash == tail
    return (job_of(event.stream), event.type) == (tail.job, tail.type)


def _cursor(row: asyncpg.Record, end: int, now_us: int) -> ReaderLine:
    next_at_us = row["next_at_us"]
    return ReaderLine(
        row["name"],
        row["position"],
        max(end - row["position"], 0),
        0.0 if next_at_us is None else max(now_us - next_at_us, 0) / 1e6,
        moved_s=max(now_us - row["moved_at_us"], 0) / 1e6,
        held=row["held"],
    )


def _group(group: Group, found: InRedis, age_s: Callable[[int | None], float | None]) -> ReaderLine:
    delivered = position_of(group.delivered)
    stream = next(stream for stream in found.streams if stream.name == group.stream)
    last = position_of(stream.last) or 0
    lag = 0 if group.next is None else last - group.next + 1
    return ReaderLine(
        group.name,
        delivered,
        lag,
        0.0 if group.next is None else age_s(group.next),
        pending=group.pending,
        oldest_pending_s=age_s(group.oldest_pending),
    )


def _consumer(consumer: Consumer, lease_s: float) -> ConsumerLine:
    left_s = consumer.seat_left_s
    return ConsumerLine(
        consumer.name, consumer.pending, None if left_s is None else max(lease_s - left_s, 0.0)
    )
