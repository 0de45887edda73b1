"""The status messages of payments, as the editor uses them; what they show is read from the log."""

from typing import TYPE_CHECKING, Literal

import asyncpg

from ledger.log import LogReader
from services.notifier.messages import Shown
from services.notifier.payment_messages import Link, PaymentMessages
from services.notifier.sql import query
from services.notifier.statuses import Status

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


class PaymentStatuses:
    """As `Statuses`, for payments."""

    subject: Literal["order", "payment"] = "payment"

    def __init__(self, pool: "Pool", lease_s: float, reader: LogReader, messages: PaymentMessages) -> None:
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
