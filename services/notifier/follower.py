"""Follows the log in order and writes down what each chat is owed, in the transaction that moves its cursor.

So every event has its effect exactly once, whatever dies: a rolled back batch is read again, and of two
notifiers only one can move the cursor.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import asyncpg

from events.envelope import Cursor, Recorded
from projections import cursors
from services.notifier.fold import Changes, JobLine, Owed, fold, jobs_in
from services.notifier.metrics import FOLLOWED_POSITION
from services.notifier.sql import query

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = PoolConnectionProxy[asyncpg.Record]

CONSUMER = "notifier"
BATCH_EVENTS = 1000


class EventFeed(Protocol):
    """Where events come from; `services.shared.feed.Feed` is one."""

    async def batch(self, after: Cursor, *, limit: int = 500, wait_s: float = 1.0) -> list[Recorded]:
        """The next events, dense and in order; empty when nothing new came within `wait_s`."""


class Follower:
    """The notifier's first half. `run_once` until stopped."""

    def __init__(
        self,
        pool: "Pool",
        feed: EventFeed,
        *,
        on_change: Callable[[], None] = lambda: None,
        wait_s: float = 1.0,
    ) -> None:
        self._pool = pool
        self._feed = feed
        self._on_change = on_change
        self._wait_s = wait_s
        self._cursor: Cursor | None = None

    async def run_once(self) -> int:
        """Apply the next batch, waiting up to `wait_s` for one; how many events were applied.

        Raises IntegrityError when the log is not the one that was followed so far.
        """
        if self._cursor is None:
            _, self._cursor = await cursors.where_is(self._pool, CONSUMER)
        events = await self._feed.batch(self._cursor, limit=BATCH_EVENTS, wait_s=self._wait_s)
        if not events:
            return 0
        self._cursor = None  # until the transaction is over, only the stored place is sure
        self._cursor, applied = await self._apply(events)
        FOLLOWED_POSITION.set(self._cursor.position)
        if applied:
            self._on_change()
        return applied

    async def _apply(self, events: list[Recorded]) -> tuple[Cursor, int]:
        async with self._pool.acquire() as connection, connection.transaction():
            place = await cursors.lock(connection, CONSUMER, events)
            if not place.fresh:
                return place.cursor, 0  # another notifier has gone on; read on from there
            known = await connection.fetch(query("lines"), jobs_in(place.fresh))
            await _write(connection, fold({row["job"]: JobLine(*row) for row in known}, place.fresh))
            last = place.fresh[-1].cursor
            await cursors.move(connection, CONSUMER, place.version, last)
        return last, len(place.fresh)


async def _write(connection: "Connection", changes: Changes) -> None:
    if not changes.lines:
        return
    lines = list(changes.lines.values())
    columns = zip(
        *((e.job, e.order_id, e.account, e.number, e.of_jobs, e.price, e.locale, e.state) for e in lines),
        strict=True,
    )
    await connection.execute(query("lines_put"), *columns)
    orders = {line.order_id: line.account for line in lines}
    await connection.execute(query("statuses_want"), sorted(orders), [orders[o] for o in sorted(orders)])
    if changes.owed:
        await connection.execute(
            query("deliveries_owe"), *zip(*(_delivery(owed) for owed in changes.owed), strict=True)
        )


def _delivery(owed: Owed) -> tuple[str | int, ...]:
    line = owed.line
    refunded = line.price if owed.kind == "failure" else 0
    return (
        line.job, owed.kind, owed.position, line.account, line.order_id, line.number, line.of_jobs,
        line.locale, refunded, owed.error_class, owed.blob, owed.size_bytes,
    )  # fmt: skip
