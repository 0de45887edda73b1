"""Telegram's list, row by row: what cannot be judged ends nothing."""

import pytest

from services.adapters.telegram import stars
from services.adapters.telegram.stars import NotRefundableError
from services.payments.stars import payload_of
from tests.integration.services.payments.conftest import Alarms
from tests.support.stars_fixture import USER, StarsFixture

OTHER = USER + 1


async def test_one_row_that_cannot_be_judged_is_its_own_note(stars_shop: StarsFixture) -> None:
    """One that nobody can read, one of a kind nobody knows, and one flagged with another sum."""
    unreadable, flagged, good = await stars_shop.order(), await stars_shop.order(), await stars_shop.order()
    charges = [await stars_shop.pay(payment) for payment in (unreadable, flagged, good)]
    state = await stars_shop.stars.orders.ledger.read.payment(flagged)
    assert state.ordered is not None
    words = payload_of(flagged, state.ordered)
    assert await stars_shop.stars.paid(words, stars_shop.account, charges[1], "XTR", 299) == "flagged"
    store = stars_shop.sandbox.ctx.store
    rows = dict(store.all("telegram_star_transaction"))
    store.put("telegram_star_transaction", "1", rows["1"] | {"amount": "many"})
    unknown = rows["1"] | {"id": "new", "source": {"type": "a kind that is new"}}
    store.put("telegram_star_transaction", "4", unknown)
    report = await stars_shop.comparison.run(14)
    assert report is not None and report.unjudged == 2
    assert [(d.kind, d.provider_payment) for d in report.differences] == [
        ("unjudged", charges[0]), ("unjudged", charges[1]),
    ]  # fmt: skip
    assert "KeyReusedError" in report.differences[1].note
    assert await stars_shop.balance() == 5, "the third was credited"


async def test_stars_of_another_person_are_the_owners_credits_and_go_back_to_who_paid(
    stars_shop: StarsFixture, alarms: Alarms
) -> None:
    other = (await stars_shop.people.account_of(OTHER, "en")).account
    await stars_shop.sandbox.post(f"/chat/{OTHER}/send", {"text": "/start"})
    payment = await stars_shop.order()
    charge = await stars_shop.pay(payment, OTHER)
    report = await stars_shop.comparison.run(14)
    assert report is not None and report.open_differences == []
    assert await stars_shop.balance() == 5
    assert alarms() == {"paid_by_another": 1}
    assert (await stars_shop.stars.orders.ledger.read.account(other)).balance == 0
    report = await stars_shop.comparison.run(14)
    assert report is not None and report.differences == [] and alarms() == {"paid_by_another": 1}
    plan = await stars_shop.refunds.plan(payment)
    assert (
        await stars_shop.refunds.carry_out(plan, actor="login:neurocards_operator", reason="asked")
        == "refunded"
    )
    assert await stars_shop.balance() == 0
    with pytest.raises(NotRefundableError):
        await stars.refund(stars_shop.stars.bot, USER, charge)


@pytest.mark.parametrize("charge", ["stx\nodd", "", "x" * 129, "зв"])
async def test_a_charge_that_cannot_be_kept_is_an_alarm_and_no_crash(
    stars_shop: StarsFixture, alarms: Alarms, charge: str
) -> None:
    payment = await stars_shop.order()
    assert await stars_shop.told(payment, charge) == "foreign"
    ordered = (await stars_shop.stars.orders.ledger.read.payment(payment)).ordered
    assert ordered is not None
    told = await stars_shop.stars.refunded(payload_of(payment, ordered), "", charge, "XTR", 300)
    assert told == "foreign" and set(alarms()) == {"foreign"}


async def test_a_payer_nobody_knows_and_an_order_nobody_has_is_an_alarm(
    stars_shop: StarsFixture, alarms: Alarms
) -> None:
    words = "nc1:0123456789abcdef01234567:credits-5:5::en"
    assert await stars_shop.stars.paid(words, "", "stx1", "XTR", 300) == "foreign"
    assert alarms() == {"foreign": 1}
