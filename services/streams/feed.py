"""Feed: the log in order from Redis when possible, else Postgres.

What comes out is dense, verified against the chain, and stands in the log; the stream is believed only as far
as that. Redis dead, empty, trimmed, made anew, ahead or with another history costs latency, nothing else.
"""

import asyncio
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from events.envelope import Cursor, Recorded
from ledger.errors import IntegrityError
from ledger.log.hash_chain import sequence_break
from ledger.log.reader import LogReader
from services.platform.metrics import FEED_EVENTS
from services.platform.outage_log import REDIS
from services.platform.redis_keys import LEDGER
from services.streams.entries import StreamError, decode_entry, entry_id

logger = structlog.get_logger()

POLL_S = 1.0
"""How often Postgres is asked although the stream is silent."""
BLOCK_S_MAX = 2.0
"""The longest block of a read; make the client with `blocking_client(settings, BLOCK_S_MAX)`."""
LOOK_S = 5.0


class Feed:
    """One consumer's reader. Not for two tasks at once.

        feed = Feed(LogReader(pool), blocking_client(settings, BLOCK_S_MAX))

    Remembers nothing that matters: the consumer's cursor comes in with every call.
    """

    def __init__(self, reader: LogReader, redis: Redis, *, poll_s: float = POLL_S) -> None:
        self._reader = reader
        self._redis = redis
        self._poll_s = poll_s
        self._poll_at = 0.0
        self._stream_at = 0.0

    async def batch(self, after: Cursor, *, limit: int = 500, wait_s: float = 1.0) -> list[Recorded]:
        """Events right after the cursor; empty when none came within `wait_s`.

        Raises IntegrityError when Postgres contradicts the cursor or its own chain, and what asyncpg raises
        when Postgres does not answer.
        """
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + wait_s
        while True:
            block_s = max(0.0, min(give_up_at, self._poll_at) - loop.time())
            events, usable = await self._from_stream(after, limit, block_s)
            if events:
                self._poll_at = loop.time() + self._poll_s
                FEED_EVENTS.labels("stream").inc(len(events))
                return events
            if not usable or loop.time() >= self._poll_at:
                events = await self._reader.following(after, limit)
                # As long as Postgres has what the stream has not, do not wait for the stream.
                self._poll_at = loop.time() + (0 if events else self._poll_s)
                if events:
                    FEED_EVENTS.labels("log").inc(len(events))
                    return events
            if loop.time() >= give_up_at:
                return []

    async def close(self) -> None:
        await self._redis.aclose()

    async def _from_stream(self, after: Cursor, limit: int, block_s: float) -> tuple[list[Recorded], bool]:
        """Stream's events after the cursor, within `block_s`; whether silence counts."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            if began >= self._stream_at:
                events = await self._read(after, limit, min(block_s, BLOCK_S_MAX))
                REDIS.over("stream")
                return events, True
        except (RedisError, OSError, TimeoutError) as error:
            self._stream_at = loop.time() + self._poll_s
            REDIS.met(error, "stream")
        except StreamError as error:
            # A gap, or something else than the log: it stays so for a while, so read Postgres meanwhile.
            self._stream_at = loop.time() + self._poll_s
            logger.info("stream_not_used", after=after.position, reason=str(error))
        else:
            await asyncio.sleep(min(block_s, self._stream_at - began))
            return [], True
        return [], False

    async def _read(self, after: Cursor, limit: int, block_s: float) -> list[Recorded]:
        """Raises StreamError for anything but the log's continuation of the cursor."""
        block_ms = int(block_s * 1000) or None  # BLOCK 0 would be for ever
        place: Any = {LEDGER: entry_id(after.position)}
        found: Any = await self._redis.xread(place, count=limit, block=block_ms)
        if not found:
            return []
        events = [decode_entry(entry, fields) for entry, fields in found[0][1]]
        wrong = sequence_break(after, events)
        if wrong is not None:
            raise StreamError(wrong)
        try:
            await self._reader.check(events[-1].cursor)
        except IntegrityError as error:
            raise StreamError(f"the stream is ahead of the log: {error}") from None
        return events


class HeadWatch:
    """`run_once` for `repeat`, every LOOK_S: one index read. `position` is None at first."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self.position: int | None = None

    async def run_once(self) -> int:
        self.position = (await self._reader.head()).position
        return 0

    def lag(self, position: int) -> int | None:
        """Positions behind the head last seen; None while unknown."""
        return None if self.position is None else max(self.position - position, 0)
