"""Buying by YooKassa: every end, the button "I have paid", and the way back to the order."""

import asyncio
from collections import Counter

from ledger import commands as c
from ledger.log.ledger import Ledger
from services.adapters.telegram.callback_data import Order
from services.platform.database import create_pool
from services.platform.settings import load_settings
from services.rehearsal.chat_client import Button, open_http
from tests.integration.services.bot.checkout.buyer import BY_YOOKASSA, CHECK, TOPUP, Buyer
from tests.integration.services.bot.people import WAIT_S, BotWorld
from tests.support.waiting import eventually

ORDER = Order.__prefix__ + ":"


async def tell(buyer: Buyer) -> str:
    """Tap "I have paid"; the answer."""
    return await buyer.tap(await buyer.sees_any(CHECK))


async def test_paid_with_one_look_and_told_once(buyer: Buyer) -> None:
    await buyer.order_by_card()
    assert "No payment has arrived" in await tell(buyer)
    await buyer.at_the_page()
    await eventually(lambda: _paid(buyer), what="an answer that it is paid")
    words = await buyer.hears("Paid\n5 credits")
    assert "Your balance: 7 credits." in words
    await buyer.hears("Paid")
    assert await buyer.bought() == [5]
    assert len(await buyer.events("PaymentSucceeded")) == 1
    assert buyer.chat.button(CHECK) is None


async def _paid(buyer: Buyer) -> bool:
    return "Paid" in await tell(buyer)


async def test_twenty_taps_are_one_or_two_looks_and_one_grant(buyer: Buyer, world: BotWorld) -> None:
    await buyer.order_by_card()
    button = await buyer.sees_any(CHECK)
    await buyer.at_the_page()
    reads = await _reads(world)
    answers = await asyncio.gather(*(buyer.chat.tap(button, wait_s=60) for _ in range(20)))
    assert Counter((answer or {}).get("text", "") for answer in answers).most_common(1)[0][0].startswith("✅")
    assert await _reads(world) - reads <= 2
    await buyer.hears("Paid\n5 credits")
    assert await buyer.bought() == [5]


async def _reads(world: BotWorld) -> int:
    """How often the bot has asked the provider."""
    async with open_http() as client:
        text = (await client.get(f"{world.bot.health_url}/metrics")).text
    name = "neurocards_payments_yookassa_calls_total"
    found = [line for line in text.splitlines() if line.startswith(name)]
    assert found, "the bot counts no calls"
    return sum(int(float(line.split()[-1])) for line in found)


async def test_a_declined_card_is_told_and_brings_nothing(buyer: Buyer) -> None:
    await buyer.order_by_card()
    await buyer.at_the_page("insufficient_funds")
    await tell(buyer)
    words = await buyer.hears("did not go through")
    assert "not enough money" in words and "Nothing was charged" in words
    assert await buyer.bought() == []
    await buyer.press(TOPUP)  # and again from there
    await buyer.choose(BY_YOOKASSA)
    await buyer.sees(CHECK)
    await buyer.at_the_page()
    await tell(buyer)
    await buyer.hears("Paid\n5 credits")
    assert await buyer.bought() == [5]


async def test_short_of_credits_leads_to_packages_and_the_payment_on_with_the_order(buyer: Buyer) -> None:
    confirm = await buyer.to_confirm()
    draft = Order.unpack(confirm.data).draft
    await spend_all(buyer)
    assert "balance: 0 credits" in await buyer.hears("balance: 0"), "without a touch"
    await buyer.tap(confirm)
    await buyer.press(f"{TOPUP}{draft}")
    await buyer.choose(BY_YOOKASSA, draft=draft)
    await buyer.sees(CHECK)
    await buyer.at_the_page()
    await tell(buyer)
    await buyer.hears("Paid\n5 credits")
    await buyer.hears("balance: 5 credits")
    offered = await buyer.sees(f"{ORDER}{draft}")
    assert offered.message_id != confirm.message_id, "where the payment is"
    assert await buyer.tap(offered) == "✅ Accepted: 1 video, 1 credit charged."
    await eventually(lambda: _charged(buyer), what="the order's charge")
    both = (offered.message_id, confirm.message_id)
    await buyer.chat.until(lambda _: not any(map(buyer.buttons, both)), WAIT_S, "no buttons of the order")


async def _charged(buyer: Buyer) -> bool:
    return bool(await buyer.events("CreditsCharged"))


async def spend_all(buyer: Buyer) -> None:
    """Leave nothing on the account."""
    settings = load_settings(database_url=buyer.world.database_url)
    async with await create_pool(settings, "test") as pool, Ledger(buyer.world.database_url, pool) as ledger:
        account = await pool.fetchval(
            "SELECT account FROM accounts WHERE telegram_id = $1", buyer.chat.user_id
        )
        balance = (await ledger.read.account(account)).balance
        await ledger.execute(c.RevokeCredits(account, balance, "test"), key=f"spend:{account}")


async def test_a_second_tap_on_how_to_pay_is_the_same_payment(buyer: Buyer) -> None:
    await buyer.say("/topup")
    await buyer.press("buy:credits-10:")
    way = await buyer.sees(BY_YOOKASSA)
    await asyncio.gather(*(buyer.chat.tap(way, wait_s=60) for _ in range(3)))
    await buyer.sees_any(CHECK)
    assert len(await buyer.events("PaymentOrdered")) == 1


async def test_a_payment_is_not_looked_at_for_somebody_else(buyer: Buyer, other_buyer: Buyer) -> None:
    payment = await buyer.order_by_card()
    await other_buyer.say("/topup")
    button = await other_buyer.sees("buy:")
    foreign = Button(button.message_id, "", f"{CHECK}{payment}")
    assert "not yours" in await other_buyer.tap(foreign)


async def test_a_package_that_is_not_sold_is_not_ordered(buyer: Buyer) -> None:
    await buyer.say("/topup")
    button = await buyer.sees("buy:")
    assert "no longer on offer" in await buyer.tap(Button(button.message_id, "", f"{BY_YOOKASSA}gold:"))
    assert await buyer.events("PaymentOrdered") == []


async def test_credits_come_to_somebody_who_has_blocked_the_bot(buyer: Buyer) -> None:
    await buyer.order_by_stars()
    invoice = await buyer.invoice()
    assert (await buyer.pay_stars(invoice))["state"] == "paid"
    await _block(buyer, True)
    await eventually(lambda: _has(buyer, [5]), what="credits")
    await _block(buyer, False)


async def _block(buyer: Buyer, blocked: bool) -> None:
    deed = "block" if blocked else "unblock"
    await buyer.http.post(f"{buyer.world.sandbox_url}/chat/{buyer.chat.user_id}/{deed}")


async def _has(buyer: Buyer, credits: list[int]) -> bool:
    return await buyer.bought() == credits
