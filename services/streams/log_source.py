"""Rebuild source from the stream, its gaps filled from Postgres."""

from typing import Any

from redis.asyncio import Redis

from events.envelope import Cursor, Recorded
from ledger.errors import IntegrityError
from ledger.log.hash_chain import sequence_break
from projections.rebuild.fill import Source
from services.platform.redis_keys import LEDGER
from services.streams.entries import StreamError, decode_entry, entry_id, position_of


class StreamSource:
    """Chained events of the stream `ledger`, or in its gaps from `log`.

    `streamed` and `filled` count both. Raises IntegrityError when the stream holds something else than what
    follows, and what redis-py raises.
    """

    def __init__(self, redis: Redis, log: Source) -> None:
        self._redis = redis
        self._log = log
        self._gap_until = 0
        self.streamed = 0
        self.filled = 0

    async def page(self, after: Cursor, limit: int) -> list[Recorded]:
        if after.position + 1 >= self._gap_until:
            found: Any = await self._redis.xrange(LEDGER, min=entry_id(after.position + 1), count=limit)
            events = self._read(after, dict(found))
            if events:
                self.streamed += len(events)
                return events
            goes_on_at = position_of(found[0][0]) if found else None
            self._gap_until = goes_on_at or after.position + limit + 1
        events = await self._log.page(after, min(limit, self._gap_until - after.position - 1))
        self.filled += len(events)
        return events

    @staticmethod
    def _read(after: Cursor, entries: dict[bytes, dict[bytes, bytes]]) -> list[Recorded]:
        events: list[Recorded] = []
        try:
            for entry, fields in entries.items():
                if position_of(entry) != after.position + len(events) + 1:
                    break
                events.append(decode_entry(entry, fields))
        except StreamError as error:
            raise IntegrityError(f"{error}; run `neurocards streams verify`") from None
        wrong = sequence_break(after, events)
        if wrong is not None:
            raise IntegrityError(f"the stream is not the log: {wrong}; run `neurocards streams verify`")
        return events
