"""Log consumer: records what each chat is owed, in its cursor's transaction.

So every event has its effect exactly once, whatever dies: a rolled back batch is read again, and of two
notifiers only one can move the cursor.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from msgspec.structs import astuple

from events.codec import EVENT_TYPES
from events.envelope import Cursor, Recorded
from events.stream_names import account_of, payment_of
from ledger.postgres import Connection, Pool
from ledger.sql import load_queries
from projections.engine import cursors
from services.notifier.expected_messages import Changes, JobLine, Owed, UsualSeconds, fold, jobs_in
from services.notifier.metrics import FOLLOWED_POSITION
from services.notifier.state_metrics import StateMetrics
from services.streams.feed import Feed, HeadWatch

query = load_queries("services.notifier")

logger = structlog.get_logger()

CONSUMER = "notifier"
BATCH_EVENTS = 1000


class _Granted(msgspec.Struct):
    """The field that the database has judged: whatever else is in it, the notifier goes on."""

    kind: str


_granted = msgspec.json.Decoder(_Granted)


class LogConsumer:
    def __init__(
        self,
        pool: Pool,
        feed: Feed,
        *,
        on_change: Callable[[], None] = lambda: None,
        usual: UsualSeconds = lambda _model, _seconds: None,
        wait_s: float = 1.0,
    ) -> None:
        self._pool = pool
        self._feed = feed
        self._on_change = on_change
        self._usual = usual
        self._wait_s = wait_s
        self._times = StateMetrics(pool)
        self._cursor: Cursor | None = None
        self._position = 0

    def status(self, head: HeadWatch) -> dict[str, Any]:
        return {"position": self._position, "lag": head.lag(self._position)}

    async def run_once(self) -> int:
        """Apply the next batch, waiting up to `wait_s` for one; how many events were applied. Raises
        IntegrityError when the log is not the one that was followed so far."""
        if self._cursor is None:
            _, self._cursor = await cursors.where_is(self._pool, CONSUMER)
            self._came_to(self._cursor)
        events = await self._feed.batch(self._cursor, limit=BATCH_EVENTS, wait_s=self._wait_s)
        if not events:
            return 0
        self._cursor = None  # until the transaction is over, only the stored place is sure
        self._cursor, fresh = await self._apply(events)
        self._came_to(self._cursor)
        if fresh:
            _complain(fresh)
            self._on_change()
            await self._times.saw(fresh)
        return len(fresh)

    def _came_to(self, cursor: Cursor) -> None:
        self._position = cursor.position
        FOLLOWED_POSITION.set(cursor.position)

    async def _apply(self, events: list[Recorded]) -> tuple[Cursor, list[Recorded]]:
        """The cursor reached, and the events that were not applied before."""
        async with self._pool.acquire() as connection, connection.transaction():
            place = await cursors.lock(connection, CONSUMER, events)
            if not place.fresh:
                return place.cursor, []  # another notifier has gone on; read on from there
            known = await connection.fetch(query("lines"), jobs_in(place.fresh))
            lines = {row["job"]: JobLine(*row) for row in known}
            await _write(connection, fold(lines, place.fresh, self._usual))
            await _end_offers(connection, place.fresh)
            await _write_payments(connection, place.fresh)
            await _write_bonuses(connection, place.fresh)
            await _write_balances(connection, place.fresh)
            last = place.fresh[-1].cursor
            await cursors.move(connection, CONSUMER, place.version, last)
        return last, place.fresh


def _complain(events: list[Recorded]) -> None:
    """An error for types that only a newer version knows: what they owe a seller is not told by this one."""
    if unknown := {event.type for event in events} - EVENT_TYPES.keys():
        logger.error("events_unknown", types=sorted(unknown), up_to=events[-1].position)


async def _write(connection: Connection, changes: Changes) -> None:
    if not changes.lines:
        return
    lines = list(changes.lines.values())
    await connection.execute(query("lines_put"), *zip(*map(astuple, lines), strict=True))
    await connection.execute(query("turns_put"), [line.job for line in lines])
    orders = {line.order_id: line.account for line in lines}
    await connection.execute(
        query("statuses_want"), "order", sorted(orders), [orders[order] for order in sorted(orders)]
    )
    if changes.owed:
        await connection.execute(
            query("deliveries_owe"), *zip(*(_delivery(owed) for owed in changes.owed), strict=True)
        )


async def _end_offers(connection: Connection, events: list[Recorded]) -> None:
    """Take offers of orders that are placed off payment messages."""
    if queued := [event.position for event in events if event.type == "JobQueued"]:
        await connection.execute(query("offers_over"), queued)


async def _write_payments(connection: Connection, events: list[Recorded]) -> None:
    """Mark payment messages as due; their text is made from the log when sent."""
    streams = {event.stream for event in events if payment_of(event.stream) is not None}
    if not streams:
        return
    await connection.execute(query("payments_want"), sorted(streams))
    came = [event.position for event in events if event.type == "PaymentSucceeded"]
    if came:
        await connection.execute(query("payments_owe"), came)


async def _write_bonuses(connection: Connection, events: list[Recorded]) -> None:
    """Referral bonuses of either side, and an operator's grants; others are told where they are made."""
    granted = [event for event in events if event.type == "CreditsGranted"]
    came = [e.position for e in granted if _granted.decode(e.data).kind in ("referral", "manual")]
    if came:
        await connection.execute(query("bonuses_owe"), came)


async def _write_balances(connection: Connection, events: list[Recorded]) -> None:
    """Have the bot show balances on cards anew; a charge is the card's own."""
    moved = {
        account: event.position
        for event in events
        if event.type.startswith("Credits") and event.type != "CreditsCharged"
        if (account := account_of(event.stream)) is not None
    }
    if moved:
        await connection.execute(query("cards_outdated"), [*moved], [*moved.values()])


def _delivery(owed: Owed) -> tuple[str | int, ...]:
    line = owed.line
    refunded = line.price if owed.kind == "failure" else 0
    return (
        line.job, owed.kind, owed.position, line.account, line.order_id, line.number, line.of_jobs,
        line.locale, refunded, owed.error_class, owed.blob, owed.size_bytes,
    )  # fmt: skip
