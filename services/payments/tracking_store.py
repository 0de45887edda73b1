"""Tables of payments: person and chat, the request's words, what is not final."""

import math
from collections.abc import Callable
from typing import Any, Final

import msgspec

from events.payment import Provider
from ledger.postgres import Pool
from ledger.sql import load_queries

query = load_queries("services.payments")

FIRST_LOOK_S: Final = 15.0
Words = Callable[[str | None], dict[str, Any]]
"""What to ask the provider with, given the receipt's address."""


class TrackedPayment(msgspec.Struct, frozen=True):
    """Personal data of a payment. Gone when the person was erased."""

    payment: str
    account: str
    contact: str | None = None
    confirmation_url: str | None = None
    chat_id: int | None = None
    message_id: int | None = None
    draft: str | None = None


class Asked(msgspec.Struct, frozen=True):
    """A request's words, and seconds since it was first made."""

    request: str
    age_s: float


class WatchedPayment(msgspec.Struct, frozen=True):
    """An open payment, or with `refund` a refund of it."""

    payment: str
    refund: str
    account: str
    provider: Provider
    age_s: float


class TrackingStore:
    """Reads and writes the tables of 0002_payments.sql. Every method is one statement."""

    def __init__(self, pool: Pool, *, first_look_s: float = FIRST_LOOK_S) -> None:
        self._pool = pool
        self._first_look_s = first_look_s

    async def reserve(self, link: TrackedPayment, provider: Provider) -> None:
        """Keep the link and watch the payment. Idempotent: the first one stays."""
        await self._pool.execute(
            query("open_payment"), link.payment, link.account, provider, link.contact, link.chat_id,
            link.message_id, link.draft, self._first_look_s,
        )  # fmt: skip

    async def release(self, payment: str) -> None:
        await self._pool.execute(query("unopen"), payment)

    async def link(self, payment: str) -> TrackedPayment | None:
        """The payment's personal data; None: there is none, or its person was erased."""
        row = await self._pool.fetchrow(query("link"), payment)
        return TrackedPayment(*row) if row else None

    async def set_url(self, payment: str, url: str) -> None:
        await self._pool.execute(query("set_url"), payment, url)

    async def set_message(self, payment: str, chat_id: int, message_id: int) -> None:
        await self._pool.execute(query("set_message"), payment, chat_id, message_id)

    async def ask(self, payment: str, refund: str, account: str, words: Words) -> Asked:
        """Keep the request's words before a call that makes something; the first ones stay. The age is
        endless when the payment is not watched (any more): then nothing may be made."""
        link = await self.link(payment)
        for contact in (link.contact if link else None, None):  # the second time for one erased meanwhile
            request = msgspec.json.encode(words(contact)).decode()
            row = await self._pool.fetchrow(query("ask"), payment, refund, account, request, bool(contact))
            if row is not None:
                break
        assert row is not None
        return Asked(row["request"], math.inf if row["age_s"] is None else row["age_s"])

    async def watch(self, payment: str, refund: str, account: str, provider: Provider) -> None:
        await self._pool.execute(query("watch"), payment, refund, account, provider, self._first_look_s)

    async def unwatch(self, payment: str, refund: str = "") -> None:
        await self._pool.execute(query("unwatch"), payment, refund)

    async def report_paid(self, provider_payment: str) -> None:
        """Make a payment due at once: a notification said paid, and it could not be read."""
        await self._pool.execute(query("tell"), provider_payment)

    async def looked(self, payment: str) -> None:
        await self._pool.execute(query("looked"), payment)

    async def due(self, limit: int, most_s: float) -> list[WatchedPayment]:
        """Take what is due, at most `limit`; each is due again with back-off up to `most_s`."""
        rows = await self._pool.fetch(query("due"), limit, self._first_look_s, most_s)
        return [WatchedPayment(*row) for row in rows]

    async def rewatch(self, days: int) -> int:
        """Watch whatever the ledger says is open and is not watched; how many."""
        done = [
            await self._pool.execute(query(name), days) for name in ("rewatch_payments", "rewatch_refunds")
        ]
        return sum(int(status.rsplit(" ", 1)[-1]) for status in done)

    async def payment_of(self, provider: Provider, provider_payment: str) -> str | None:
        payment: str | None = await self._pool.fetchval(query("payment_of"), provider_payment, provider)
        return payment

    async def refund_known(self, provider_refund: str) -> bool:
        return bool(await self._pool.fetchval(query("refund_known"), provider_refund))
