"""Telegram's list of Stars against the ledger, as `comparison` does with YooKassa's book.

What the ledger says is read before the list: what comes in between is in the list only, and settled from it.
"""

import datetime
from typing import Final

import msgspec
import structlog

from ledger.errors import RejectedError
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.accounts.personal_data import PersonalData
from services.adapters.telegram import stars
from services.adapters.telegram.stars import STARS, StarMovement
from services.payments import stars_messages as words
from services.payments.differences import FRESH_S, Difference, Report, extra, judged, note_difference
from services.payments.stars import StarsPayments
from services.platform.ids import Unreadable

query = load_queries("services.payments")

logger = structlog.get_logger()

PROVIDER: Final = "stars"


class StarsComparison:
    """Compares Telegram's list with the ledger."""

    def __init__(self, pool: Pool, desk: StarsPayments, people: PersonalData) -> None:
        self._pool = pool
        self._stars = desk
        self._read = desk.desk.ledger.read
        self._people = people

    async def run(self, days: int, *, every_s: float = 0) -> Report | None:
        """Compare the last `days`; None when somebody has begun to within `every_s`.

        Raises StarsNoAnswerError, and what the ledger and Postgres raise; the row of a comparison that was
        broken
        off has no end.
        """
        begun = await self._pool.fetchrow(query("comparison_begin"), PROVIDER, days, every_s)
        if begun is None:
            return None
        report = Report(begun["comparison"], begun["since"], differences=[])
        came = await self._pool.fetch(query("succeeded_since"), PROVIDER, report.since)
        went = await self._pool.fetch(query("refunded_since"), PROVIDER, report.since)
        seen: dict[str, set[str]] = {"in": set(), "out": set()}
        async for movement in stars.movements(self._stars.bot, report.since.timestamp()):
            if isinstance(movement, Unreadable):
                seen["in"].add(movement.id)
                seen["out"].add(movement.id)
                report.payments += 1
                found: Difference | None = Difference(
                    kind="unjudged", object="payment", provider_payment=movement.id, currency=STARS,
                    note=movement.reason,
                )  # fmt: skip
            else:
                seen[movement.direction].add(movement.charge)
                back = movement.direction == "out"
                report.refunds += back
                report.payments += not back
                found = await judged(_named(movement), self._movement(movement))
            await note_difference(self._pool, report, found)
        for row in came:
            if row["provider_payment"] not in seen["in"]:
                await note_difference(self._pool, report, extra(row, STARS, "unknown to Telegram"))
        for row in went:
            if row["provider_refund"] not in seen["out"]:
                await note_difference(self._pool, report, extra(row, STARS, "unknown to Telegram"))
        await self._pool.execute(query("comparison_end"), report.comparison, report.payments, report.refunds)
        logger.info(
            "stars_compared", payments=report.payments, refunds=report.refunds,
            differences=len(report.differences), open=len(report.open_differences), unjudged=report.unjudged,
        )  # fmt: skip
        return report

    async def _movement(self, movement: StarMovement) -> Difference | None:
        """Settle what Telegram's list says, and say what was not known."""
        known = words.payload_in(movement.payload)
        back = movement.direction == "out"
        found = _named(movement)
        if known is None:
            return msgspec.structs.replace(found, kind="foreign")
        before = await self._ours(known.payment, movement)
        person = await self._people.of_telegram(movement.user_id)
        account = person.account if person is not None else ""
        settle = self._stars.refunded if back else self._stars.paid
        note = ""
        try:
            await settle(movement.payload, account, movement.charge, STARS, movement.amount)
        except RejectedError as error:
            note = str(error)
        ours = await self._ours(known.payment, movement)
        found = msgspec.structs.replace(found, ours_minor=ours, note=note)
        if ours is None:
            return found
        if not back and await self._is_flagged(known.payment, movement.charge):
            return msgspec.structs.replace(found, kind="flagged")
        if ours != movement.amount:
            return msgspec.structs.replace(found, kind="amount")
        fresh = datetime.datetime.now(datetime.UTC).timestamp() - movement.at_s < FRESH_S
        return None if before is not None or fresh else msgspec.structs.replace(found, repaired=True)

    async def _ours(self, payment: str, movement: StarMovement) -> int | None:
        """What the ledger has of a movement; None: nothing."""
        state = await self._read.payment(payment)
        received = state.received_as(movement.charge)
        if received is None or (movement.direction == "out" and movement.charge not in state.refunds):
            return None
        return received.refunded_minor if movement.direction == "out" else received.amount_minor

    async def _is_flagged(self, payment: str, charge: str) -> bool:
        received = (await self._read.payment(payment)).received_as(charge)
        return received is not None and not received.credits


def _named(movement: StarMovement) -> Difference:
    known, back = words.payload_in(movement.payload), movement.direction == "out"
    return Difference(
        kind="missing", object="refund" if back else "payment",
        payment="" if known is None else known.payment, provider_payment=movement.charge,
        provider_refund=movement.charge if back else "", theirs_minor=movement.amount, currency=STARS,
    )  # fmt: skip
