"""What Redis says of the streams and of those who work from them, in two round trips."""

from typing import Any

import msgspec
from redis.asyncio import Redis

from services.shared.streams import (
    EPOCH,
    GENERATION,
    JOBS,
    LEDGER,
    NO_ID,
    JobEntry,
    StreamError,
    decode_entry,
    decode_job,
    position_of,
    seat_key,
)


class Stream(msgspec.Struct, frozen=True):
    """A stream as Redis has it. `last` is the last ID it has given, also when that entry was trimmed.

    `tail` is the entry at `last`: of `ledger` the event's hash. None when it was trimmed, or is none that the
    relay can have written, which `foreign` says.
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
    """A consumer group. `next` is the position of the first entry it has not been given, None without one."""

    stream: str
    name: str
    delivered: str
    pending: int
    oldest_pending: int | None
    next: int | None


class Consumer(msgspec.Struct, frozen=True):
    """Who sits in a seat of the group. `seat_left_s` until the seat expires, None when it is empty."""

    name: str
    pending: int
    seat_left_s: float | None


class InRedis(msgspec.Struct, frozen=True):
    """Everything that was found."""

    epoch: str
    streams: tuple[Stream, Stream]
    groups: list[Group]
    consumers: list[Consumer]


async def look(redis: Redis) -> InRedis:
    """Raises RedisError."""
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
    ledger, jobs = _stream(LEDGER, found[:5]), _stream(JOBS, found[5:])
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
    groups = [_group(stream, raw, *answers[2 * n : 2 * n + 2]) for n, (stream, raw) in enumerate(raw_groups)]
    seats = answers[2 * len(raw_groups) :]
    people = [_consumer(raw, left) for raw, left in zip(raw_consumers, seats, strict=True)]
    return InRedis((epoch or b"").decode(), (ledger, jobs), groups, sorted(people, key=_by_number))


def _stream(name: str, found: list[Any]) -> Stream:
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


def _group(stream: str, raw: dict[str, Any], pending: Any, following: Any) -> Group:
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


def _consumer(raw: dict[str, Any], left_ms: Any) -> Consumer:
    left = left_ms / 1000 if isinstance(left_ms, int) and left_ms >= 0 else None
    return Consumer(raw["name"].decode(), raw["pending"], left)


def _by_number(consumer: Consumer) -> tuple[int, str]:
    return len(consumer.name), consumer.name


def _found(reply: Any, nothing: Any) -> Any:
    """The reply; `nothing` for what is missing (the server says so as an error)."""
    return nothing if isinstance(reply, Exception) else reply
