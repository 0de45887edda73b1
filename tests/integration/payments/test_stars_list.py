"""Telegram's list, row by row: what cannot be judged ends nothing."""

from services.shared.payments.stars_words import payload_of
from tests.support.stars_till import StarsTill


async def test_one_row_that_cannot_be_judged_is_its_own_note(stars_shop: StarsTill) -> None:
    """One that nobody can read, one of a kind nobody knows, and one flagged with another sum."""
    unreadable, flagged, good = await stars_shop.order(), await stars_shop.order(), await stars_shop.order()
    charges = [await stars_shop.pay(payment) for payment in (unreadable, flagged, good)]
    state = await stars_shop.stars.desk.ledger.read.payment(flagged)
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
    assert "KeyReused" in report.differences[1].note
    assert await stars_shop.balance() == 5, "the third was credited"
