"""Remembered places compared with the log; *lost*: not held, nor explained by a restoration."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from typing import Any, Literal, cast

import msgspec
from redis.asyncio import Redis

from events.envelope import GENESIS, GENESIS_HASH, Cursor, Recorded
from ledger.checkpoints.checkpoint import Restored, Statement, parse
from ledger.checkpoints.signed_note import NoteError, PublicKey
from ledger.checkpoints.store import (
    hash_at,
    places,
    recent_notes,
    remembered_keys,
    statements_in,
    verdict,
    words_for,
)
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.platform.redis_keys import LEDGER
from services.streams.compare import jobs_problem
from services.streams.entries import NO_ID, StreamError, decode_entry, entry_id, position_of
from services.streams.publisher.recreate import ConsistencyCheck
from services.streams.publisher.scripts import Scripts, StreamState

query = load_queries("services.recovery")

StreamsAre = Literal["in line", "empty", "behind", "incomplete", "of another history", "not ours"]


class Trace(msgspec.Struct, frozen=True):
    """Remembered place; `source`: `cursor <name>`, `checkpoint of <size>`, `stream`.

    `held`: the log still holds it. Otherwise `explained`, by a signed restoration, or lost.
    """

    source: str
    place: Cursor
    held: bool
    explained: bool = False

    @property
    def lost(self) -> bool:
        return not self.held and not self.explained


class Streams(msgspec.Struct, frozen=True):
    """What Redis holds; `fork`: last entry that the log holds too.

    `fork` only if the streams went on otherwise; `lacking` says what incomplete streams miss.
    """

    are: StreamsAre
    state: StreamState
    fork: Cursor | None = None
    last: Recorded | None = None
    lacking: str = ""


async def restorations(pool: Pool, notes: Iterable[str], keys: Sequence[PublicKey]) -> list[Restored]:
    return [one for one in await _read(pool, notes, keys) if isinstance(one, Restored)]


async def note_traces(
    pool: Pool, notes: Iterable[str], keys: Sequence[PublicKey], known: Sequence[Restored]
) -> list[Trace]:
    found = []
    statements = await _read(pool, notes, keys)
    for statement, place in zip(statements, await places(pool, statements), strict=True):
        found.append(await _trace(pool, words_for(statement), place, statement.seen, known))
    return found


async def cursor_traces(pool: Pool, known: Sequence[Restored]) -> dict[str, Trace]:
    found = {}
    for name, position, hash_, moved_at_us in await pool.fetch(query("cursors")):
        place = Cursor(position, hash_)
        found[name] = await _trace(pool, f"cursor {name}", place, moved_at_us, known)
    return found


async def stream_trace(
    pool: Pool, scripts: Scripts, judge: ConsistencyCheck, head: Cursor, known: Sequence[Restored]
) -> tuple[Streams, Trace | None]:
    redis = scripts.redis
    state = await scripts.state(believing=False)
    position, jobs = position_of(state.ledger_last), position_of(state.jobs_last or NO_ID)
    if state.ledger_last == NO_ID:
        if jobs or await judge.unusable(state, GENESIS, head):
            return Streams("empty", state), None
        return await _whole(pool, scripts, judge, state, head), None
    if position is None or jobs is None:
        return Streams("not ours", state), None
    last = state.last
    if last is None:  # trimmed, or no entry of ours at that ID
        if await redis.xrevrange(LEDGER, count=1):
            return Streams("not ours", state), None
        if position > head.position:
            place = Cursor(position, GENESIS_HASH)  # its hash is not known any more
            return Streams("of another history", state), Trace("stream", place, held=False)
        return await _whole(pool, scripts, judge, state, head), None
    trace = await _trace(pool, "stream", last.cursor, last.recorded_at_us, known)
    if not trace.held:
        fork, began_otherwise = await _fork(pool, redis, position, head)
        # A stream whose first entry the log contradicts was never a copy of this log: no sign of a loss.
        return Streams("of another history", state, fork, last), None if began_otherwise else trace
    if jobs > position:
        return Streams("not ours", state), trace
    return await _whole(pool, scripts, judge, state, head), trace


async def _whole(
    pool: Pool, scripts: Scripts, judge: ConsistencyCheck, state: StreamState, head: Cursor
) -> Streams:
    """Whether confirmed streams hold what workers and relay need."""
    cursor = await judge.confirmed(state, head)
    lacking = await judge.unusable(state, cursor, head)
    lacking = lacking or await jobs_problem(scripts.redis, pool, cursor.position)
    if lacking is not None:
        return Streams("incomplete", state, lacking=lacking)
    return Streams("in line" if cursor.position == head.position else "behind", state)


async def entries_after(redis: Redis, position: int) -> AsyncIterator[bytes]:
    """JSON of the stream's events after a position, as stored."""
    after = f"({entry_id(position)}"
    while page := cast(Any, await redis.xrange(LEDGER, after, "+", count=500)):
        for _, fields in page:
            if b"event" in fields:
                yield fields[b"event"]
        after = "(" + page[-1][0].decode()


async def _fork(pool: Pool, redis: Redis, last: int, head: Cursor) -> tuple[Cursor | None, bool]:
    """Last entry that the log holds, by bisection: hashes cover all before.

    Also whether the stream contradicts the log from its first entry on.
    """
    entries = cast(Any, await redis.xrange(LEDGER, count=1))
    first = position_of(entries[0][0]) if entries else None
    if first is None:
        return None, True
    held: Cursor | None = None
    low, high = first, last
    while low <= high:
        middle = (low + high) // 2
        place = await _entry_at(redis, middle)
        if place is not None and await hash_at(pool, middle) == place.hash:
            held, low = place, middle + 1
        else:
            high = middle - 1
    return held, held is None and first <= head.position


async def _entry_at(redis: Redis, position: int) -> Cursor | None:
    id_ = entry_id(position)
    found = cast(Any, await redis.xrange(LEDGER, id_, id_))
    try:
        return decode_entry(*found[0]).cursor if found else None
    except StreamError:
        return None


async def _trace(pool: Pool, source: str, place: Cursor, seen: int | str, known: Sequence[Restored]) -> Trace:
    if place == GENESIS:
        return Trace(source, place, held=True)
    answer = await verdict(pool, place, seen, known)
    return Trace(source, place, answer.held, answer.explained_by is not None)


async def _read(pool: Pool, notes: Iterable[str], keys: Sequence[PublicKey]) -> list[Statement]:
    """What notes in the table and outside say, each once; with `keys` those that they have signed."""
    every = [*await recent_notes(pool), *notes]
    if keys:
        return [one for one, _ in statements_in(every, await remembered_keys(pool, keys))]
    found: list[Statement] = []
    for note in dict.fromkeys(every):
        with suppress(NoteError):  # `ledger verify` and `verify-checkpoint` complain about those
            found.append(parse(note))
    return found
