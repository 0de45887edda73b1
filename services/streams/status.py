"""Status of streams and their readers beside the log.

The age of the oldest event not applied is read from the log, so it is right also for a reader that died long
ago or sleeps.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Literal

import asyncpg
import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from events.stream_names import job_of
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.platform.errors import explain
from services.platform.redis_keys import EPOCH, JOBS, LEDGER, seat_key
from services.streams.entries import (
    GENERATION,
    NO_ID,
    JobEntry,
    StreamError,
    decode_entry,
    decode_job,
    position_of,
)

query = load_queries("services.streams")


class Stream(msgspec.Struct, frozen=True):
    """Redis stream. `last` is the last ID it has given, even if trimmed.

    `tail` is the entry at `last`: of `ledger` the event's hash. None when trimmed or, with `foreign`, not the
    relay's.
    """

    name: str
    there: bool
    entries: int = 0
    first: str = ""
    last: str = NO_ID
    memory_bytes: int = 0
    tail: bytes | JobEntry | None = None
    foreign: bool = False


class Group(msgspec.Struct, frozen=True):
    """Consumer group; `next`: position of its first undelivered entry, or None."""

    stream: str
    name: str
    delivered: str
    pending: int
    oldest_pending: int | None
    next: int | None


class ConsumerLine(msgspec.Struct, frozen=True):
    """Worker's seat. `renewed_s` ago it was renewed; None: free."""

    consumer: str
    pending: int
    renewed_s: float | None


class InRedis(msgspec.Struct, frozen=True):
    epoch: str
    streams: tuple[Stream, Stream]
    groups: list[Group]
    consumers: list[ConsumerLine]


async def look(redis: Redis, lease_s: float) -> InRedis:
    """Ask Redis, in two round trips. Raises RedisError."""
    async with redis.pipeline(transaction=True) as pipe:
        for name in (LEDGER, JOBS):
            pipe.xinfo_stream(name)
            pipe.xrange(name, count=1)
            pipe.xrevrange(name, count=1)
            pipe.memory_usage(name)
            pipe.xinfo_groups(name)
        pipe.get(EPOCH)
        pipe.xinfo_consumers(JOBS, GENERATION)
        *found, epoch, consumers = await pipe.execute(raise_on_error=False)
    if isinstance(epoch, Exception):  # unlike the others, a GET does not fail for what is missing
        raise epoch
    ledger, jobs = _stream_in_redis(LEDGER, found[:5]), _stream_in_redis(JOBS, found[5:])
    raw_groups = [(LEDGER, group) for group in _found(found[4], [])]
    raw_groups += [(JOBS, group) for group in _found(found[9], [])]
    raw_consumers = _found(consumers, [])
    async with redis.pipeline(transaction=False) as pipe:
        for stream, group in raw_groups:
            pipe.xpending(stream, group["name"])
            pipe.xrange(stream, "(" + group["last-delivered-id"].decode(), count=1)
        for consumer in raw_consumers:
            pipe.pttl(seat_key(GENERATION, consumer["name"].decode()))
        answers = await pipe.execute(raise_on_error=False)
    groups = [
        _group_in_redis(stream, raw, *answers[2 * n : 2 * n + 2])
        for n, (stream, raw) in enumerate(raw_groups)
    ]
    seats = answers[2 * len(raw_groups) :]
    people = [_consumer(raw, left, lease_s) for raw, left in zip(raw_consumers, seats, strict=True)]
    people.sort(key=lambda line: (len(line.consumer), line.consumer))  # by number
    return InRedis((epoch or b"").decode(), (ledger, jobs), groups, people)


def _stream_in_redis(name: str, found: list[Any]) -> Stream:
    info, first, last, memory, _ = found
    if isinstance(info, Exception):
        return Stream(name, there=False)
    last_id = info["last-generated-id"].decode()
    tail: bytes | JobEntry | None = None
    foreign = position_of(last_id) is None
    if last and last[0][0].decode() == last_id:
        try:
            tail = decode_entry(*last[0]).hash if name == LEDGER else decode_job(*last[0])
        except StreamError:
            foreign = True
    first_id = first[0][0].decode() if first else ""
    return Stream(name, True, info["length"], first_id, last_id, _found(memory, 0) or 0, tail, foreign)


def _group_in_redis(stream: str, raw: dict[str, Any], pending: Any, following: Any) -> Group:
    summary, entries = _found(pending, {}), _found(following, [])
    oldest = summary.get("min")
    return Group(
        stream,
        raw["name"].decode(),
        raw["last-delivered-id"].decode(),
        raw["pending"],
        position_of(oldest) if oldest else None,
        position_of(entries[0][0]) if entries else None,
    )


def _consumer(raw: dict[str, Any], left_ms: Any, lease_s: float) -> ConsumerLine:
    renewed = max(lease_s - left_ms / 1000, 0.0) if isinstance(left_ms, int) and left_ms >= 0 else None
    return ConsumerLine(raw["name"].decode(), raw["pending"], renewed)


def _found(reply: Any, nothing: Any) -> Any:
    """The reply; `nothing` for what is missing, an error from the server."""
    return nothing if isinstance(reply, Exception) else reply


Tail = Literal[
    "as the log", "behind", "trimmed", "empty", "missing", "lacks unfinished jobs", "ahead of ledger",
    "ahead of the log", "differs from the log", "not ours",
]  # fmt: skip
CONTRADICTIONS: frozenset[Tail] = frozenset({"ahead of the log", "differs from the log", "not ours"})
"""What needs `neurocards recover`, or somebody who looks."""

RELAY = "relay"
REDIS_S = 3.0


class StreamLine(msgspec.Struct, frozen=True):
    """One stream. `first` and `last` are positions; `tail` compares its end with the log."""

    stream: str
    entries: int
    first: int | None
    last: int | None
    tail: Tail
    memory_bytes: int


class ReaderLine(msgspec.Struct, frozen=True):
    """Reader of the log: relay, in-order consumer (cursor in Postgres), consumer group.

    `lag` counts positions not applied or delivered, `lag_s` is the age of the oldest of them; 0 for none. A
    cursor was moved `moved_s` ago. `held`: the log still holds what it has applied.
    """

    reader: str
    position: int | None
    lag: int | None
    lag_s: float | None
    moved_s: float | None = None
    pending: int | None = None
    oldest_pending_s: float | None = None
    held: bool = True


class Status(msgspec.Struct, frozen=True):
    """Everything. `redis`: why Redis is silent, or None. `epoch` may be empty."""

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
        """Whether a stream or reader contradicts the log."""
        return any(line.tail in CONTRADICTIONS for line in self.streams) or not all(
            line.held for line in self.readers
        )


class Event(msgspec.Struct, frozen=True):
    recorded_at_us: int
    hash: bytes
    stream: str
    type: str


async def stream_status(
    redis: Redis | None, pool: Pool, *, lease_s: float, jobs_max: int | None = None
) -> Status:
    """Inspect everything, Redis first: the log must hold what it holds.

    What Postgres alone can tell, when Redis does not answer in time or is None. `lease_s` is the workers'
    setting. At most `jobs_max` unfinished jobs are looked at, those due first.
    """
    found, reason = None, "REDIS_URL is not set" if redis is None else None
    try:
        async with asyncio.timeout(REDIS_S):
            found = await look(redis, lease_s) if redis is not None else None
    except RedisError as error:
        reason = explain(error) or repr(error)
    except TimeoutError:
        reason = f"Redis does not answer at REDIS_URL within {REDIS_S:g} s"
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),  # all as of one moment
    ):
        published = position_of(found.streams[0].last) or 0 if found else 0
        head = await connection.fetchrow(query("head"), published, jobs_max)
        assert head is not None
        cursors = await connection.fetch(query("readers"))
        wanted = [head["oldest"] or 0, *(_positions(found) if found else [])]
        rows = await connection.fetch(query("events_at"), wanted)
    events = {row["position"]: Event(*list(row.values())[1:]) for row in rows}
    now_us, end = head["now_us"], head["position"]

    def age_s(position: int | None) -> float | None:
        event = events.get(position or 0)
        return None if event is None else max(now_us - event.recorded_at_us, 0) / 1e6

    readers = [_cursor(row, end, now_us) for row in cursors]
    lines: list[StreamLine] = []
    consumers: list[ConsumerLine] = []
    if found is not None:
        ledger, jobs = found.streams
        lines = [_stream(ledger, end, events, 0), _stream(jobs, published, events, head["newest"])]
        relay = ReaderLine(RELAY, published, max(end - published, 0), age_s(published + 1) or 0.0)
        readers = [relay, *readers, *(_group(group, found, age_s) for group in found.groups)]
        consumers = found.consumers
    epoch = found.epoch if found else ""
    return Status(end, epoch, head["open_jobs"], age_s(head["oldest"]), lines, readers, consumers, reason)


def _positions(found: InRedis) -> list[int]:
    ends = [position_of(stream.last) or 0 for stream in found.streams]
    of_groups = [at for group in found.groups for at in (group.next, group.oldest_pending) if at]
    return [*ends, ends[0] + 1, *of_groups]


def _stream(stream: Stream, end: int, events: Mapping[int, Event], newest_open: int) -> StreamLine:
    first = position_of(stream.first) if stream.first else None
    tail = tail_of(stream, end, events, newest_open)
    last = position_of(stream.last)
    return StreamLine(stream.name, stream.entries, first, last, tail, stream.memory_bytes)


def tail_of(stream: Stream, end: int, events: Mapping[int, Event], newest_open: int) -> Tail:
    """The stream's end beside the log, for `jobs` beside what was published."""
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
