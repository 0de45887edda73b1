"""Reconciliation of a provider's book with the ledger.

The last days are listed with our own key and settled like any other news, so what had escaped us is put right
and reported. A difference is a row, a log line and a count; docs/payments.md tells what to do about each. A
record whose judging fails is `unjudged`, with the error as its note: it must not end the walk.

    missing  money came (or went back), the ledger did not know. `repaired`: it does now
    extra    the ledger knows of money that the provider does not
    amount   both know it, with different sums
    flagged  money came that is not what was ordered: nothing was credited, a person must decide
    foreign  a payment in our shop that we did not order
    unjudged nobody could tell; `note` says why
"""

import datetime
from collections.abc import Awaitable
from typing import Final, Literal

import asyncpg
import msgspec
import structlog
from msgspec.structs import replace

from events.codec import clean_text
from ledger.errors import IntegrityError, RejectedError
from ledger.postgres import DATABASE_ERRORS, Pool
from ledger.sql import load_queries
from services.adapters.telegram.stars import NotRefundableError, StarsNoAnswerError
from services.adapters.yookassa.errors import BadCredentialsError, NotFoundError, UnavailableError
from services.payments.metrics import alarm
from services.payments.orders import PaymentOrders
from services.payments.provider import (
    Listed,
    PaymentProvider,
    ProviderPayment,
    ProviderRefund,
    UnreadableRecord,
)

query = load_queries("services.payments")

logger = structlog.get_logger()

Kind = Literal["missing", "extra", "amount", "flagged", "foreign", "unjudged"]
FRESH_S: Final = 900.0
"""Money that came so short a time ago is nobody's fault when its notification is still under way."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A difference between the books. Sums in the smallest unit; None: not there."""

    kind: Kind
    object: Literal["payment", "refund"]
    payment: str = ""
    provider_payment: str = ""
    provider_refund: str = ""
    ours_minor: int | None = None
    theirs_minor: int | None = None
    currency: str = "RUB"
    repaired: bool = False
    note: str = ""


class Report(msgspec.Struct):
    """One comparison. `open_differences` need a person's decision."""

    comparison: int
    since: datetime.datetime
    payments: int = 0
    refunds: int = 0
    differences: list[Difference] = []

    @property
    def open_differences(self) -> list[Difference]:
        settled = ("foreign", "unjudged")
        return [found for found in self.differences if not found.repaired and found.kind not in settled]

    @property
    def unjudged(self) -> int:
        return sum(found.kind == "unjudged" for found in self.differences)


NOTE_CHARS_MAX: Final = 300
_AWAY: Final = (*DATABASE_ERRORS, IntegrityError, UnavailableError, BadCredentialsError, StarsNoAnswerError)
"""What the next record would meet as well."""
_BAD_DATA: Final = (ValueError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
_UNKNOWN: Final = (NotFoundError, NotRefundableError)


class Reconciliation:
    def __init__(self, pool: Pool, orders: PaymentOrders, provider: PaymentProvider) -> None:
        self._pool = pool
        self._orders = orders
        self._provider = provider

    async def run(self, days: int, *, every_s: float = 0) -> Report | None:
        """Compare the last `days`; None when one was begun within `every_s`. Raises what the adapter, the
        ledger and Postgres raise; the row of a broken comparison has no end."""
        name = self._provider.name
        begun = await self._pool.fetchrow(query("comparison_begin"), name, days, every_s)
        if begun is None:
            return None
        report = Report(begun["comparison"], begun["since"], differences=[])
        await self._orders.links.rewatch(days)
        # Before the list: what comes in between is in the list only, and settled from it.
        came = await self._pool.fetch(query("succeeded_since"), name, report.since)
        went = await self._pool.fetch(query("refunded_since"), name, report.since)
        seen: set[tuple[str, str]] = set()
        async for record in self._provider.list(report.since):
            await self._listed(report, seen, record)
        for row in came:
            if ("payment", row["provider_payment"]) not in seen:
                report.payments += 1
                await self._note(report, await _judged(self._extra(row), self._unlisted_payment(row)))
        for row in went:
            if ("refund", row["provider_refund"]) not in seen:
                report.refunds += 1
                await self._note(report, await _judged(self._extra(row), self._unlisted_refund(row)))
        await self._pool.execute(query("comparison_end"), report.comparison, report.payments, report.refunds)
        logger.info(
            "payments_compared", provider=name, payments=report.payments, refunds=report.refunds,
            differences=len(report.differences), open=len(report.open_differences), unjudged=report.unjudged,
        )  # fmt: skip
        return report

    async def _listed(self, report: Report, seen: set[tuple[str, str]], record: Listed) -> None:
        match record:
            case UnreadableRecord():
                seen |= {("payment", record.id), ("refund", record.id)}
                is_refund = record.object == "refund"
                found: Difference | None = Difference(
                    kind="unjudged", object=record.object, currency=self._provider.currency,
                    provider_payment="" if is_refund else record.id,
                    provider_refund=record.id if is_refund else "", note=record.reason,
                )  # fmt: skip
            case ProviderPayment():
                seen.add(("payment", record.id))
                is_refund = False
                found = await _judged(_missing_payment(record), self._payment(record))
            case ProviderRefund():
                seen.add(("refund", record.id))
                is_refund = True
                found = await _judged(_missing_refund(record), self._refund(record))
        counts = isinstance(record, UnreadableRecord) or record.status == "succeeded"
        report.refunds += counts and is_refund
        report.payments += counts and not is_refund
        await self._note(report, found)

    async def _payment(self, record: ProviderPayment) -> Difference | None:
        if record.status == "canceled" and record.payment is not None:
            await self._orders.settle(self._provider, record)
        if record.status != "succeeded":
            return None
        found = _missing_payment(record)
        if record.payment is None:
            return replace(found, kind="foreign")
        read = self._orders.ledger.read
        before = (await read.payment(record.payment)).received_as(record.id)
        note = ""
        try:
            await self._orders.settle(self._provider, record)
        except RejectedError as error:
            note = str(error)
        after = (await read.payment(record.payment)).received_as(record.id)
        found = replace(found, ours_minor=after.amount_minor if after else None, note=note)
        if after is None:
            return found
        if not after.credits:
            return replace(found, kind="flagged")
        if after.amount_minor != record.amount_minor:
            return replace(found, kind="amount")
        if record.refunded_minor not in (None, after.refunded_minor):
            return replace(
                found, kind="amount", object="refund", ours_minor=after.refunded_minor,
                theirs_minor=record.refunded_minor, note="what went back in all",
            )  # fmt: skip
        return None if before is not None or _is_fresh(record) else replace(found, repaired=True)

    async def _refund(self, record: ProviderRefund) -> Difference | None:
        if record.status != "succeeded":
            return None
        known = await self._orders.links.refund_known(record.id)
        note = ""
        try:
            if await self._orders.settle_refund(self._provider, record) == "foreign":
                return replace(_missing_refund(record), kind="foreign")
        except RejectedError as error:
            note = str(error)
        found = replace(_missing_refund(record), note=note)
        payment = record.of.payment if record.of else None
        if payment is not None:  # what goes back at once must be as much here as there
            received = (await self._orders.ledger.read.payment(payment)).received_as(record.provider_payment)
            if received is not None and received.refunded_minor not in (0, record.amount_minor):
                return replace(found, kind="amount", ours_minor=received.refunded_minor)
        if known:
            return None
        repaired = await self._orders.links.refund_known(record.id)
        return None if repaired and _is_fresh(record) else replace(found, repaired=repaired)

    async def _unlisted_payment(self, row: asyncpg.Record) -> Difference | None:
        """Judge money of ours not listed: made before the days compared, or never."""
        try:
            record = await self._provider.payment(row["provider_payment"])
        except _UNKNOWN:
            return self._extra(row, "unknown to the provider")
        return (
            await self._payment(record) if record.status == "succeeded" else self._extra(row, record.status)
        )

    async def _unlisted_refund(self, row: asyncpg.Record) -> Difference | None:
        try:
            record = await self._provider.refund(row["provider_refund"])
        except _UNKNOWN:
            return self._extra(row, "unknown to the provider")
        if (record.status, record.amount_minor) == ("succeeded", row["amount_minor"]):
            return None
        found = replace(self._extra(row, record.status), theirs_minor=record.amount_minor)
        return replace(found, kind="amount") if record.status == "succeeded" else found

    def _extra(self, row: asyncpg.Record, note: str = "") -> Difference:
        refund = row.get("provider_refund") or ""
        return Difference(
            kind="extra", object="refund" if refund else "payment", payment=row["payment"],
            provider_payment=row["provider_payment"], provider_refund=refund, ours_minor=row["amount_minor"],
            currency=self._provider.currency, note=note,
        )  # fmt: skip

    async def _note(self, report: Report, found: Difference | None) -> None:
        if found is None:
            return
        report.differences.append(found)
        if found.kind != "foreign":
            told = msgspec.to_builtins(found)
            alarm(f"difference_{told.pop('kind')}", **told)
        await self._pool.execute(
            query("difference_add"), report.comparison, found.kind, found.object, found.payment,
            found.provider_payment, found.provider_refund, found.ours_minor, found.theirs_minor,
            found.currency, found.repaired, clean_text(found.note),
        )  # fmt: skip


async def _judged(found: Difference, look: Awaitable[Difference | None]) -> Difference | None:
    """Judge one record, named by `found`; its own error makes it `unjudged`. Raises what every other record
    would meet too: the provider, the database or the ledger is away."""
    try:
        return await look
    except Exception as error:
        if isinstance(error, _AWAY) and not isinstance(error, _BAD_DATA):
            raise
        note = f"{type(error).__name__}: {error}"[:NOTE_CHARS_MAX]
        return replace(found, kind="unjudged", note=note)


def _is_fresh(record: ProviderPayment | ProviderRefund) -> bool:
    return datetime.datetime.now(datetime.UTC).timestamp() - record.created_at_s < FRESH_S


def _missing_payment(record: ProviderPayment) -> Difference:
    return Difference(
        kind="missing", object="payment", payment=record.payment or "", provider_payment=record.id,
        theirs_minor=record.amount_minor, currency=record.currency,
    )  # fmt: skip


def _missing_refund(record: ProviderRefund) -> Difference:
    return Difference(
        kind="missing", object="refund", payment=(record.of.payment if record.of else "") or "",
        provider_payment=record.provider_payment, provider_refund=record.id,
        theirs_minor=record.amount_minor, currency=record.currency,
    )  # fmt: skip
