"""The table `deliveries` as the sender uses it. Each method is one statement."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Literal

import msgspec
from opentelemetry.trace import Span

from ledger.postgres import Pool
from ledger.sql import load_queries
from services.notifier.expected_messages import Kind
from services.notifier.metrics import OLDEST_PENDING_AT, PENDING
from services.platform import tracing

query = load_queries("services.notifier")


class Waiting(msgspec.Struct, frozen=True):
    """The order in the making, as its card shows it in `waiting_version`; None: there is none.

    It costs `waiting_price` credits; 0: something else is missing, and only its card can say what.
    """

    waiting: str | None
    waiting_version: int
    waiting_price: int


class Delivery(Waiting, frozen=True):
    """A taken row of `deliveries`. `chat_id` is None when the account was erased.

    `status_message` tells of the payment by itself, as soon as it is `status_shown`; None: nothing does.
    `wanted` is whether a reminder still is, `rest_s` when the order's model is tried again, if that is known,
    and `card` the order's message, 0 without one. `photo` is the blob that the video was made from;
    `follows`: a video of that order has come before.
    """

    job: str
    kind: Kind
    position: int
    account: str
    order_id: str
    number: int
    of_jobs: int
    locale: str
    refunded: int
    error_class: str
    blob: str
    size_bytes: int
    as_link: bool
    claims: int
    attempts: int
    unknown_sends: int
    chat_id: int | None
    repeatable: bool
    status_message: int | None
    status_shown: bool | None
    owed_at_s: float
    age_s: float
    wanted: bool = True
    rest_s: float | None = None
    card: int = 0
    product: str = ""
    style: str = ""
    format: str = ""
    seconds: int = 0
    photo: str = ""
    follows: bool = False

    @property
    def is_payment(self) -> bool:
        """Whether it tells of money; `job` is the payment then."""
        return self.kind in ("paid", "paid_again")

    @property
    def is_reminder(self) -> bool:
        """Whether no event owes it (docs/decisions/reminders.md)."""
        return self.kind in ("ending", "left", "works")

    @property
    def has_file(self) -> bool:
        return self.kind in ("video", "gift")


def about(delivery: Delivery) -> dict[str, str | int]:
    """Log fields; `position` is that of the event that the chat is told of."""
    return {
        "payment" if delivery.is_payment else "job": delivery.job,
        "account": delivery.account,
        "position": delivery.position,
        "kind": delivery.kind,
    }


def span_of(delivery: Delivery) -> AbstractContextManager[Span]:
    if delivery.is_payment or delivery.is_reminder:
        return tracing.NO_SPAN
    return tracing.span(
        "deliver",
        job=delivery.job,
        account=delivery.account,
        position=delivery.position,
        delivery=delivery.kind,
    )


class Deliveries:
    """Leases of deliveries, and their outcomes.

    A taken row belongs to its taker until `lease_s` after it was taken or last renewed. `claims` is the
    fencing token: a decision of a taker who lost the row is dropped, the fact that it arrived never is.
    """

    def __init__(self, pool: Pool, lease_s: float) -> None:
        self._pool = pool
        self._lease_s = lease_s

    async def claim(self, limit: int) -> list[Delivery]:
        """Lease up to `limit` due deliveries, one per account, in order."""
        rows = await self._pool.fetch(query("deliveries_claim"), limit, self._lease_s)
        return [Delivery(*row) for row in sorted(rows, key=lambda row: int(row["position"]))]

    async def begin(self, delivery: Delivery) -> bool:
        """Record that it is being sent; False when it is not ours (any more)."""
        return bool(await self._change("delivery_begin", delivery, delivery.claims))

    async def sent(self, delivery: Delivery, message_id: int, file_id: str | None) -> bool:
        """Record that it arrived; False when it had arrived before."""
        return await self._change("delivery_sent", delivery, message_id, file_id)

    async def retry(
        self,
        delivery: Delivery,
        wait_s: float,
        reason: str | None,
        *,
        may_have_arrived: bool = False,
        as_link: bool = False,
    ) -> bool:
        return await self._change(
            "delivery_retry", delivery, delivery.claims, wait_s, reason, may_have_arrived, as_link
        )

    async def end(self, delivery: Delivery, state: Literal["failed", "skipped"], reason: str) -> bool:
        return await self._change("delivery_end", delivery, delivery.claims, state, reason)

    async def renew(self, held: Iterable[Delivery]) -> None:
        columns = list(zip(*((d.job, d.kind, d.claims) for d in held), strict=True))
        if columns:
            await self._pool.execute(query("deliveries_renew"), *columns, self._lease_s)

    async def _change(self, name: str, delivery: Delivery, *args: object) -> bool:
        return await self._pool.fetchval(query(name), delivery.job, delivery.kind, *args) is not None


class PendingGauge:
    """Gauge of what is owed and not sent yet. `pending` is None until the first look."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.pending: int | None = None

    async def run_once(self) -> int:
        row = await self._pool.fetchrow(query("deliveries_pending"))
        assert row is not None
        self.pending = row["pending"]
        PENDING.set(row["pending"])
        OLDEST_PENDING_AT.set(row["oldest_at_s"])
        return 0
