"""The provider's book against the ledger: what is missing, what is too much, what differs.

Everything of the last days is listed with our own key and settled like any other news; so what had escaped us
is put right, and said. What cannot be put right is said too. A difference is a row, a line in the log and a
count (differences.py); docs/payments.md tells what to do about each.
"""

import datetime

import asyncpg
import structlog
from msgspec.structs import replace

from ledger.errors import RejectedError
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.adapters.yookassa.errors import NotFoundError
from services.adapters.yookassa.records import PaymentRecord, RefundRecord
from services.payments import yookassa_messages as words
from services.payments.differences import FRESH_S, Difference, Report, extra, judged, note_difference
from services.payments.yookassa import YooKassaPayments

query = load_queries("services.payments")

logger = structlog.get_logger()


class Comparison:
    """Compares YooKassa's book with the ledger."""

    def __init__(self, pool: Pool, desk: YooKassaPayments) -> None:
        self._pool = pool
        self._yookassa = desk
        self._ledger = desk.desk.ledger

    async def run(self, days: int, *, every_s: float = 0) -> Report | None:
        """Compare the last `days`; None when somebody has begun to within `every_s`.

        Raises what the provider's adapter, the ledger and Postgres raise; the row of a comparison that was
        broken off has no end.
        """
        begun = await self._pool.fetchrow(query("comparison_begin"), "yookassa", days, every_s)
        if begun is None:
            return None
        report = Report(begun["comparison"], begun["since"], differences=[])
        await self._yookassa.desk.links.rewatch(days)
        await self._payments(report)
        await self._refunds(report)
        await self._pool.execute(query("comparison_end"), report.comparison, report.payments, report.refunds)
        logger.info(
            "payments_compared", payments=report.payments, refunds=report.refunds,
            differences=len(report.differences), open=len(report.open_differences), unjudged=report.unjudged,
        )  # fmt: skip
        return report

    async def _payments(self, report: Report) -> None:
        since, cursor, seen = _iso(report.since), None, set()
        while True:
            page = await self._yookassa.shop.payments(since, cursor)
            for item in page.unreadable:
                seen.add(item.id)
                report.payments += 1
                found = Difference(kind="unjudged", object="payment", provider_payment=item.id)
                await self._note(report, replace(found, note=item.reason))
            for record in page.items:
                seen.add(record.id)
                report.payments += record.status == "succeeded"
                await self._note(report, await judged(_paid(record), self._listed(record)))
            cursor = page.cursor
            if cursor is None:
                break
        for row in await self._pool.fetch(query("succeeded_since"), "yookassa", report.since):
            if row["provider_payment"] not in seen:
                report.payments += 1
                await self._note(report, await judged(extra(row), self._listed_by_us(row)))

    async def _listed(self, record: PaymentRecord) -> Difference | None:
        if record.status == "canceled" and words.payment_in(record) is not None:
            await self._yookassa.settle(record)
        return await self._payment(record) if record.status == "succeeded" else None

    async def _payment(self, record: PaymentRecord) -> Difference | None:
        """A payment that the provider says has succeeded."""
        payment = words.payment_in(record)
        if payment is None:
            return replace(_paid(record), kind="foreign")
        before = (await self._ledger.read.payment(payment)).received_as(record.id)
        note = ""
        try:
            await self._yookassa.settle(record)
        except RejectedError as error:
            note = str(error)
        after = (await self._ledger.read.payment(payment)).received_as(record.id)
        found = replace(_paid(record), ours_minor=after.amount_minor if after else None, note=note)
        if after is None:
            return found
        if not after.credits:
            return replace(found, kind="flagged")
        if after.amount_minor != record.amount_minor:
            return replace(found, kind="amount")
        if after.refunded_minor != record.refunded_minor:
            return replace(
                found, kind="amount", object="refund", ours_minor=after.refunded_minor,
                theirs_minor=record.refunded_minor, note="what went back in all",
            )  # fmt: skip
        fresh = datetime.datetime.now(datetime.UTC).timestamp() - record.created_at_us / 1e6 < FRESH_S
        return None if before is not None or fresh else replace(found, repaired=True)

    async def _listed_by_us(self, row: asyncpg.Record) -> Difference | None:
        """Money of ours that the provider has not listed: made before the days compared, or never."""
        try:
            record = await self._yookassa.shop.payment(row["provider_payment"])
        except NotFoundError:
            record = None
        if record is not None and record.status == "succeeded":
            return await self._payment(record)
        return extra(row, note=record.status if record else "unknown to the provider")

    async def _refunds(self, report: Report) -> None:
        since, cursor, seen = _iso(report.since), None, set()
        while True:
            page = await self._yookassa.shop.refunds(since, cursor)
            for item in page.unreadable:
                seen.add(item.id)
                report.refunds += 1
                found = Difference(kind="unjudged", object="refund", provider_refund=item.id)
                await self._note(report, replace(found, note=item.reason))
            for record in page.items:
                if record.status == "succeeded":
                    seen.add(record.id)
                    report.refunds += 1
                    await self._note(report, await judged(_refunded(record), self._refund(record)))
            cursor = page.cursor
            if cursor is None:
                break
        for row in await self._pool.fetch(query("refunded_since"), "yookassa", report.since):
            if row["provider_refund"] not in seen:
                report.refunds += 1
                await self._note(report, await judged(extra(row), self._refund_listed_by_us(row)))

    async def _refund(self, record: RefundRecord) -> Difference | None:
        """A refund that the provider says has succeeded."""
        known = await self._yookassa.desk.links.refund_known(record.id)
        note = ""
        try:
            outcome = await self._yookassa.settle_refund(record)
        except RejectedError as error:
            outcome, note = "pending", str(error)
        found = replace(_refunded(record), note=note)
        if outcome == "foreign":
            return replace(found, kind="foreign")
        if known:
            return None
        repaired = await self._yookassa.desk.links.refund_known(record.id)
        fresh = datetime.datetime.now(datetime.UTC).timestamp() - record.created_at_us / 1e6 < FRESH_S
        return None if repaired and fresh else replace(found, repaired=repaired)

    async def _refund_listed_by_us(self, row: asyncpg.Record) -> Difference | None:
        try:
            record = await self._yookassa.shop.refund(row["provider_refund"])
        except NotFoundError:
            record = None
        if record is None:
            return extra(row, note="unknown to the provider")
        if (record.status, record.amount_minor) == ("succeeded", row["amount_minor"]):
            return None
        found = replace(extra(row), theirs_minor=record.amount_minor, note=record.status)
        return replace(found, kind="amount") if record.status == "succeeded" else found

    async def _note(self, report: Report, found: Difference | None) -> None:
        await note_difference(self._pool, report, found)


def _paid(record: PaymentRecord) -> Difference:
    return Difference(
        kind="missing", object="payment", payment=words.payment_in(record) or "", provider_payment=record.id,
        theirs_minor=record.amount_minor, currency=record.currency,
    )  # fmt: skip


def _refunded(refund: RefundRecord) -> Difference:
    return Difference(
        kind="missing", object="refund", provider_payment=refund.payment_id, provider_refund=refund.id,
        theirs_minor=refund.amount_minor, currency=refund.currency,
    )  # fmt: skip


def _iso(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
