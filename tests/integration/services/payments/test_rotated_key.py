"""The shop's secret key is exchanged with payments, links and refunds under way; the shop stays."""

import pytest

from services.adapters.yookassa.errors import BadCredentialsError
from tests.support.payment_fixture import till
from tests.support.waiting import eventually

OLD, NEW = "test_sandbox", "test_new"


async def test_nothing_under_way_is_lost_or_given_up(shop, settings, ledger, pool, sandbox):
    linked, sold = await shop.pending(), await shop.paid()
    sandbox.turn(keys_added=[NEW], keys_revoked=[OLD])
    # Meanwhile a link is paid, a payment ordered, a refund intended, and all of it asked about in vain.
    await shop.press(linked)
    ordered = await shop.order()
    plan = await shop.refunds.plan(sold)
    assert await shop.refunds.carry_out(plan, actor="login:neurocards_operator", reason="sorry") == "unknown"
    for payment in (linked, ordered):
        with pytest.raises(BadCredentialsError):
            await shop.yookassa.check(payment)
    await shop.watching.run_once()
    standing = {payment: (await shop.desk.view(payment)).standing for payment in (linked, ordered, sold)}
    assert standing == {linked: "pending", ordered: "ordered", sold: "paid"}

    exchanged = settings.replace(
        yookassa_shop_id=settings.yookassa_shop,
        yookassa_secret_key=NEW,
        yookassa_api_url=f"{sandbox.url}/yookassa/v3",
    )
    async with till(exchanged, ledger, pool, sandbox) as after:
        assert (await after.yookassa.check(linked)).standing == "paid"
        assert (await after.yookassa.make(ordered)).confirmation_url
        await after.press(ordered)
        assert (await after.yookassa.check(ordered)).standing == "paid"

        async def followed() -> bool:
            await pool.execute("UPDATE payment_watch SET due_at = clock_timestamp()")
            await after.watching.run_once()
            return not await pool.fetchval("SELECT count(*) FROM payment_watch")

        await eventually(followed)
        books = await after.credits_are_money()
        assert sorted((money.credits, money.revoked) for money in books.values()) == [(5, 0), (5, 0), (5, 5)]
