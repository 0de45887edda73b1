"""The tables behind the status messages, as the editor uses them. Each method is one statement."""

from collections import defaultdict
from typing import Literal

import msgspec

from ledger.log.ledger import LogReader
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.notifier.messages import Messages, Shown, StatusLine
from services.notifier.payment_messages import Link, PaymentMessages

query = load_queries("services.notifier")


class Status(msgspec.Struct, frozen=True):
    """A taken row of `order_statuses` or `payment_statuses`: what to edit. `name` is the order or payment.

    `known` is False when the account was erased; there is no `chat_id` without a draft, and no `message_id`
    before the bot has sent the message.
    """

    name: str
    version: int
    claims: int
    attempts: int
    known: bool
    locale: str | None
    chat_id: int | None
    message_id: int | None


class Statuses:
    """Takes status messages that show less than they should, and writes down what they show."""

    subject: Literal["order", "payment"] = "order"

    def __init__(self, pool: Pool, lease_s: float, messages: Messages) -> None:
        self._pool = pool
        self._lease_s = lease_s
        self._messages = messages

    async def claim(self, limit: int) -> list[Status]:
        """Take up to `limit` due ones."""
        return [Status(*row) for row in await self._pool.fetch(query("statuses_claim"), limit, self._lease_s)]

    async def contents(self, taken: list[Status]) -> dict[str, Shown]:
        """Each order's status message."""
        lines = await self._lines([status.name for status in taken])
        shown = {}
        for status in taken:
            locale, of_order = lines.get(status.name, ("", []))
            shown[status.name] = Shown(self._messages.status(of_order, status.locale or locale))
        return shown

    async def _lines(self, orders: list[str]) -> dict[str, tuple[str, list[StatusLine]]]:
        """Per order the language it was made in and its lines, at least as new as the version taken."""
        found: dict[str, tuple[str, list[StatusLine]]] = defaultdict(lambda: ("", []))
        for order_id, number, state, locale, lost, blob, owed_at_s in await self._pool.fetch(
            query("status_lines"), orders
        ):
            line = StatusLine(number, state, lost, blob, owed_at_s)
            found[order_id] = (locale, [*found[order_id][1], line])
        return dict(found)

    async def shown(self, status: Status, pause_s: float) -> None:
        """It shows the version taken; edit it again `pause_s` from now at the earliest."""
        await self._pool.execute(query("status_shown"), status.name, status.claims, status.version, pause_s)

    async def retry(self, status: Status, wait_s: float, reason: str | None) -> None:
        """Not this time; without a reason it was only a matter of pace."""
        await self._pool.execute(
            query("status_retry"), status.name, status.claims, wait_s, reason, reason is not None
        )

    async def abandon(self, status: Status, reason: str) -> None:
        """It cannot be edited any more."""
        await self._pool.execute(query("status_abandon"), status.name, status.claims, reason)


# The status messages of payments, as the editor uses them; what they show is read from the log.


class PaymentStatuses:
    """As `Statuses`, for payments."""

    subject: Literal["order", "payment"] = "payment"

    def __init__(self, pool: Pool, lease_s: float, reader: LogReader, messages: PaymentMessages) -> None:
        self._pool = pool
        self._lease_s = lease_s
        self._reader = reader
        self._messages = messages

    async def claim(self, limit: int) -> list[Status]:
        """Take up to `limit` due ones."""
        rows = await self._pool.fetch(query("payment_statuses_claim"), limit, self._lease_s)
        return [Status(*row) for row in rows]

    async def contents(self, taken: list[Status]) -> dict[str, Shown]:
        """Each payment's status message; none for one whose person was erased."""
        rows = await self._pool.fetch(query("payment_links"), [status.name for status in taken])
        links = {row["payment"]: Link(*row) for row in rows}
        shown = {}
        for status in taken:
            state = await self._reader.payment(status.name)
            if status.name in links and state.ordered is not None:
                locale = status.locale or state.ordered.locale
                shown[status.name] = self._messages.status(state, locale, links[status.name])
        return shown

    async def shown(self, status: Status, pause_s: float) -> None:
        """It shows the version taken; edit it again `pause_s` from now at the earliest."""
        await self._pool.execute(
            query("payment_status_shown"), status.name, status.claims, status.version, pause_s
        )

    async def retry(self, status: Status, wait_s: float, reason: str | None) -> None:
        """Not this time; without a reason it was only a matter of pace."""
        await self._pool.execute(
            query("payment_status_retry"), status.name, status.claims, wait_s, reason, reason is not None
        )

    async def abandon(self, status: Status, reason: str) -> None:
        """It cannot be edited any more."""
        await self._pool.execute(query("payment_status_abandon"), status.name, status.claims, reason)
