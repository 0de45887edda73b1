"""What a company tells of money beside its sum stands in the event; what it does not tell is unknown."""

import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from events.codec import Event, decode
from events.payment import (
    MoneyFacts,
    PaymentFlagged,
    PaymentOrdered,
    PaymentRefunded,
    PaymentSucceeded,
    Receipt,
)
from ledger.log.ledger import Ledger
from services.adapters.yookassa.records import epoch_us
from services.payments.stars import payload_of
from tests.support.payment_fixture import PaymentFixture, till
from tests.support.stars_fixture import StarsFixture

WHOLE = {"value": "390.00", "currency": "RUB"}


async def told(ledger: Ledger, payment: str, kind: type[Event]) -> Any:
    """The payment's one event of that kind."""
    events = [decode(recorded) for recorded in await ledger.read.stream(f"payment-{payment}")]
    (found,) = [event for event in events if isinstance(event, kind)]
    return found


def at_us(text: str) -> int:
    return epoch_us(datetime.datetime.fromisoformat(text))


async def test_a_payment_keeps_its_time_fee_income_method_and_receipt(shop, settings, ledger, pool, sandbox):
    changed = settings.replace(yookassa_receipts=True, yookassa_vat_code=11)
    async with till(changed, ledger, pool, sandbox) as strict:
        payment = await strict.order(contact="buyer@example.com")
        await strict.yookassa.make(payment)
        await strict.press(payment)
        await strict.yookassa.check(payment)
        (shown,) = strict.book()["payments"]
        succeeded = await told(ledger, payment, PaymentSucceeded)
        receipt = Receipt("succeeded", "11", "full_payment", "service")
        fee, captured_us = 39_000 - 37_635, at_us(shown["captured_at"])
        assert succeeded.facts == MoneyFacts(captured_us, 37_635, fee, None, "bank_card", receipt)
        plan = await strict.refunds.plan(payment)
        assert (
            await strict.refunds.carry_out(plan, actor="login:neurocards_operator", reason="asked")
            == "refunded"
        )
    (gone,) = shop.book()["refunds"]
    refunded = await told(ledger, payment, PaymentRefunded)
    assert (refunded.kind, refunded.facts) == (
        "ours", MoneyFacts(at_us(gone["created_at"]), receipt=receipt),
    )  # fmt: skip
    await shop.credits_are_money()


async def test_whom_a_package_is_sold_to_stands_in_the_order_and_with_the_provider(
    shop, settings, ledger, pool, sandbox, tmp_path
):
    path = tmp_path / "packages.toml"
    sold = '[[package]]\nid = "five"\ncredits = 5\nrubles = 390\nreceipt = "Five"\n'
    path.write_text(sold + 'buyer = "company"\ncountry = "RU"\n')
    async with till(settings.replace(payment_packages_file=path), ledger, pool, sandbox) as business:
        payment = await business.pending(package="five")
    ordered = await told(ledger, payment, PaymentOrdered)
    assert (ordered.buyer, ordered.country) == ("company", "RU")
    record = await shop.yookassa.payment(await shop.provider_payment(payment))
    assert record.ordered == replace(ordered, restored=True)
    ordered = await told(ledger, await shop.pending(), PaymentOrdered)
    assert (ordered.buyer, ordered.country) == (None, None)


async def test_a_cabinets_refund_says_so_and_without_a_receipt_there_is_none(shop: PaymentFixture) -> None:
    payment = await shop.paid()
    assert (await told(shop.ledger, payment, PaymentSucceeded)).facts.receipt is None
    name = await shop.provider_payment(payment)
    await shop.shop.create_refund({"payment_id": name, "amount": WHOLE}, "cabinet")
    await shop.comparison.run(1)
    refunded = await told(shop.ledger, payment, PaymentRefunded)
    assert (refunded.kind, refunded.facts.receipt, refunded.facts.fee_minor) == ("cabinet", None, None)


async def test_what_is_told_in_another_way_keeps_no_paid_credit_back(shop: PaymentFixture) -> None:
    payment = await shop.pending()
    await shop.press(payment)
    odd = {"captured_at": "soon", "income_amount": {"value": "391.00", "currency": "RUB"}}
    shop.rewrite(await shop.provider_payment(payment), **odd, payment_method={"type": "a b"})
    assert (await shop.yookassa.check(payment)).standing == "paid"
    assert (await told(shop.ledger, payment, PaymentSucceeded)).facts == MoneyFacts()


async def test_a_method_that_the_sdk_does_not_know_is_kept(shop: PaymentFixture) -> None:
    payment = await shop.pending()
    await shop.press(payment)
    shop.rewrite(await shop.provider_payment(payment), payment_method={"type": "crypto_new", "id": "1"})
    await shop.yookassa.check(payment)
    assert (await told(shop.ledger, payment, PaymentSucceeded)).facts.method == "crypto_new"


async def test_two_who_know_different_amounts_of_it_bring_the_same_fact(shop: PaymentFixture) -> None:
    """The reconciler reads later, when the provider tells more: its command is the one that was taken."""
    payment = await shop.pending()
    await shop.press(payment)
    name = await shop.provider_payment(payment)
    early = replace(await shop.yookassa.payment(name), facts=MoneyFacts())
    late = await shop.yookassa.payment(name)
    before = await shop.ledger.read.payment(payment)
    for record in (early, late):
        outcome = await shop.desk._credit("yookassa", payment, before, "ignored", record)
        assert outcome == "credited"
    assert (await told(shop.ledger, payment, PaymentSucceeded)).facts == MoneyFacts()


@pytest.mark.parametrize(
    ("changes", "own"),
    [
        ({"recipient": {"account_id": "999999"}}, ("999999", True)),
        ({"recipient": {"account_id": "no shop!"}, "test": False}, ("", False)),
    ],
)
async def test_flagged_money_says_where_it_lies_and_what_it_is(
    shop: PaymentFixture, changes: dict[str, Any], own: tuple[str, bool]
) -> None:
    buyer = await shop.buyer()
    payment = await shop.pending(buyer)
    await shop.press(payment)
    shop.rewrite(await shop.provider_payment(payment), **changes)
    await shop.yookassa.check(payment)
    flagged = await told(shop.ledger, payment, PaymentFlagged)
    assert (flagged.problem, flagged.provider, flagged.account) == ("shop", "yookassa", buyer)
    assert (flagged.shop, flagged.test) == own
    assert (flagged.facts.income_minor, flagged.facts.fee_minor) == (37_635, 1_365)


async def test_stars_keep_the_time_of_telegrams_message(stars_shop: StarsFixture) -> None:
    payment = await stars_shop.order()
    charge = await stars_shop.pay(payment)
    ledger = stars_shop.stars.orders.ledger
    ordered = (await ledger.read.payment(payment)).ordered
    assert ordered is not None
    words = (payload_of(payment, ordered), stars_shop.account, charge, "XTR", 300)
    assert await stars_shop.stars.paid(*words, at_s=1_795_358_400) == "credited"
    assert await stars_shop.stars.refunded(*words, at_s=1_795_358_500) == "recorded"
    facts = MoneyFacts(1_795_358_400_000_000, method="stars")
    assert (await told(ledger, payment, PaymentSucceeded)).facts == facts
    refunded = await told(ledger, payment, PaymentRefunded)
    assert (refunded.kind, refunded.facts.at_us) == (None, 1_795_358_500_000_000)


@pytest.mark.parametrize(
    ("nano", "kept"), [(500_000_000, 500_000_000), ("many", None), (True, None), (10**9, None)]
)
async def test_stars_of_the_list_keep_their_time_and_fraction(
    stars_shop: StarsFixture, nano: object, kept: int | None
) -> None:
    payment = await stars_shop.order()
    await stars_shop.pay(payment)
    store = stars_shop.sandbox.ctx.store
    ((number, row),) = store.all("telegram_star_transaction")
    store.put("telegram_star_transaction", number, row | {"nanostar_amount": nano})
    await stars_shop.comparison.run(14)
    succeeded = await told(stars_shop.stars.orders.ledger, payment, PaymentSucceeded)
    assert succeeded.facts == MoneyFacts(row["date"] * 1_000_000, nano=kept, method="stars")
