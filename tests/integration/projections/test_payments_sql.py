"""Payments as an auditor sees them in plain SQL: the same as the fold, and empty where a promise was kept."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from msgspec.structs import replace

from events.account import CreditsGranted, CreditsRevoked, Paid, Part
from events.codec import Event, decode
from events.payment import PaymentFlagged, PaymentOrdered, PaymentRefunded, PaymentSucceeded
from ledger import commands as c
from ledger.payments import commands as p
from projections.models.payments import PAYMENTS
from projections.reports.explain import explain
from projections.reports.journal import Filter, journal
from services.cli.connections import auditor_pool
from services.platform.settings import Settings
from tests.support.fake_clock_ledger import FakeClockLedger, random_ledger, store

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

ORDERED = PaymentOrdered("a", "yookassa", "five", 5, 39_000, "RUB", "1", False, None, "5 videos", "ru")
SUCCEEDED = PaymentSucceeded("yookassa", "yk-1", 39_000, "RUB", 5, 1)
GRANTED = CreditsGranted(5, "purchase", "five", 1, "yookassa:yk-1", paid=Paid(39_000, "RUB"))
REFUNDED = PaymentRefunded("yk-1", "yr-1", 19_500, "RUB", 3)
REVOKED = CreditsRevoked(3, "refund", "yookassa:yk-1", "payment", (Part(1, 3, "purchase"),))

LOST = CreditsRevoked(4, "x", kind="fraud", parts=(Part(1, 4, "purchase"),))
OF_TWO = replace(SUCCEEDED, credits=2)
FLAGGED = PaymentFlagged("yk-1", "shop", 39_000, "RUB")


@pytest.fixture
async def auditor(settings: Settings) -> AsyncIterator["Pool"]:
    async with auditor_pool(settings) as pool:
        yield pool


@pytest.mark.parametrize("seed", range(4))
async def test_every_payment_is_what_the_fold_says(seed: int, database_url: str, auditor: "Pool") -> None:
    desk = random_ledger(seed, 150)
    await store(database_url, desk.events)
    rows = await auditor.fetch("SELECT * FROM audit.payments")
    folded = PAYMENTS.fold_all(desk.events)
    assert folded and {row["payment"] for row in rows} == folded.keys()
    for name, payment in folded.items():
        money = [row for row in rows if row["payment"] == name and row["provider_payment"]]
        assert {row["provider_payment"] for row in money} == {r.provider_payment for r in payment.received}
        assert sum(row["paid_minor"] for row in money) == payment.paid_minor
        assert sum(row["refunded_minor"] for row in money) == payment.refunded_minor
        assert sum(row["refunding_minor"] for row in money) == sum(i.amount_minor for i in payment.intents)
        assert sum(row["revoked"] for row in money) == payment.revoked_credits
        assert sum(row["grants"] for row in money) == payment.successes
        assert sum(row["granted"] for row in money) == payment.successes * payment.credits
    kept = "SELECT * FROM audit.unsettled_payments WHERE problem <> 'more went back than came'"
    assert await auditor.fetch(kept) == []
    owners = await auditor.fetch("SELECT DISTINCT account, payment FROM audit.journal WHERE payment <> ''")
    assert {row["payment"]: row["account"] for row in owners} == {k: v.account for k, v in folded.items()}


def of(*events: Event) -> list[tuple[str, Event]]:
    """One command's events, each in the stream of its kind."""
    streams = ("payment-p", "account-a")
    return [(streams[type(event).__module__ == "events.account"], event) for event in events]


@pytest.mark.parametrize(
    ("commands", "problem"),
    [
        ([of(ORDERED), of(SUCCEEDED)], "paid and not granted what was ordered"),
        ([of(ORDERED), of(SUCCEEDED, replace(GRANTED, amount=6))], "paid and not granted what was ordered"),
        ([of(ORDERED), of(SUCCEEDED, GRANTED), of(replace(GRANTED, lot=2))], "credited more than once"),
        ([of(GRANTED)], "granted without a payment"),
        ([of(ORDERED), of(GRANTED)], "granted without a payment"),
        ([of(ORDERED), of(SUCCEEDED, GRANTED), of(REFUNDED)], "are not those of the money"),
        ([of(ORDERED), of(SUCCEEDED, GRANTED), of(REVOKED)], "are not those of the money"),
        (
            [of(ORDERED), of(SUCCEEDED, GRANTED), of(REFUNDED, replace(REVOKED, amount=5))],
            "are not those of the money",
        ),
        (
            [of(ORDERED), of(SUCCEEDED, GRANTED),
             of(replace(REFUNDED, amount_minor=39_001, credits=5), replace(REVOKED, amount=5))],
            "more went back than came",
        ),
        ([of(ORDERED), of(REFUNDED)], "more went back than came"),
        ([of(ORDERED), of(SUCCEEDED, GRANTED), of(REFUNDED, REVOKED)], ""),
        ([of(replace(GRANTED, reference="payment-1"))], ""),
        (
            [of(ORDERED), of(SUCCEEDED, GRANTED), of(LOST),
             of(replace(REFUNDED, credits=1), replace(REVOKED, amount=1))],
            "",
        ),
        ([of(ORDERED), of(SUCCEEDED, GRANTED), of(LOST), of(REFUNDED)], "are not those of the money"),
        ([of(ORDERED), of(FLAGGED), of(OF_TWO, replace(GRANTED, amount=2))], ""),
        ([of(ORDERED), of(FLAGGED), of(OF_TWO, GRANTED)], "not granted what was ordered"),
        ([of(ORDERED), of(OF_TWO, replace(GRANTED, amount=2))], "not granted what was ordered"),
    ],
)  # fmt: skip
async def test_a_broken_promise_is_named(
    commands: Any, problem: str, database_url: str, auditor: "Pool"
) -> None:
    desk = FakeClockLedger()
    desk.do(c.OpenAccount("a", "0" * 64))
    for made in commands:
        desk.history.record(*made)
    await store(database_url, desk.events)
    found = [row["problem"] for row in await auditor.fetch("SELECT * FROM audit.unsettled_payments")]
    assert [problem in words for words in found] == ([True] if problem else [])


async def test_what_is_known_of_a_payment_is_found_by_each_of_its_names(
    database_url: str, auditor: "Pool"
) -> None:
    desk = FakeClockLedger()
    desk.open("a", 0)
    terms = ("five", 5, 39_000, "RUB", "1", False, None, "5 videos", "ru")
    desk.do(p.OrderPayment("p1", "a", "yookassa", *terms))
    desk.do(p.SettlePayment("p1", "a", "yookassa", "yk-1", 39_000, "RUB", "1", False))
    desk.order("a", "o1", "j1")
    desk.submit("j1")
    desk.succeed("j1")
    desk.do(p.IntendRefund("p1", "a", "r1", "yk-1", 39_000, "login:neurocards_operator", "asked"))
    desk.do(p.RecordRefund("p1", "a", "yookassa", "yk-1", "yr-1", 39_000, "r1"))
    await store(database_url, desk.events)
    stages = [
        "order", "payment", "grant", "charge", "order", "attempt", "attempt", "attempt", "task", "video",
        "refund", "revocation", "refund",
    ]  # fmt: skip
    of_payment = [e.position for e in desk.events if e.stream == "payment-p1"]
    for name in ("p1", "yk-1", "yookassa:yk-1", str(of_payment[0])):
        chain = await explain(auditor, name)
        assert (chain.kind, [step.stage for step in chain.steps]) == ("payment", stages), name
        assert {step.account for step in chain.steps} == {"a"}
    chain = await explain(auditor, "j1")
    assert [step.stage for step in chain.steps if step.position in of_payment] == [
        "order", "payment", "refund", "refund",
    ]  # fmt: skip
    entries, _ = await journal(auditor, Filter(payment="yk-1"))
    about = ("yk-1", "PaymentOrdered")
    assert [entry.recorded.position for entry in entries] == [
        e.position for e in desk.events if any(word in e.data or word == e.type for word in about)
    ]
    assert {entry.account for entry in entries} == {"a"}
    assert decode(entries[0].recorded) == replace(ORDERED, account="a")
