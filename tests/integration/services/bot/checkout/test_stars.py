"""Buying with Telegram Stars: asked before, told after, once per charge whatever comes twice."""

from typing import Any

import asyncpg
import pytest

from services.bot.update_handler import ALLOWED_UPDATES
from services.platform.endpoints import COMPANIES
from tests.integration.services.bot.checkout.buyer import Buyer
from tests.integration.services.bot.people import BotWorld
from tests.support.waiting import eventually

TOKEN = COMPANIES["telegram"].sandbox_key
FIRST_UPDATE = 2_000_000_000


def paid_message(charge: dict[str, Any], update_id: int, **changes: Any) -> tuple[int, dict[str, Any]]:
    """The update of a payment, as Telegram might send it once more."""
    payment = charge["successful_payment"] | changes
    kept = {key: charge[key] for key in ("message_id", "from", "chat", "date")}
    return update_id, kept | {"successful_payment": payment}


async def has(buyer: Buyer, credits: list[int]) -> bool:
    return await buyer.bought() == credits


async def handled(world: BotWorld, update_id: int) -> bool:
    return not await world.rows("SELECT 1 FROM updates WHERE update_id = $1", update_id)


async def test_an_invoice_is_paid_and_told(buyer: Buyer) -> None:
    invoice = await buyer.order_by_stars()
    assert invoice["invoice"]["currency"] == "XTR" and invoice["invoice"]["total_amount"] == 300
    assert (await buyer.pay_stars(invoice))["state"] == "paid"
    words = await buyer.hears("Paid\n5 credits")
    assert "Your balance: 7 credits." in words
    (succeeded,) = await buyer.events("PaymentSucceeded")
    message = await buyer.charge()
    charge = message["successful_payment"]["telegram_payment_charge_id"]
    assert (succeeded["provider"], succeeded["provider_payment"]) == ("stars", charge)
    assert succeeded["facts"]["at_us"] == message["date"] * 1_000_000, "when Telegram took them"


async def test_a_paid_invoice_is_not_paid_again(buyer: Buyer) -> None:
    invoice = await buyer.order_by_stars()
    await buyer.pay_stars(invoice)
    await eventually(lambda: has(buyer, [5]), what="credits")
    again = await buyer.pay_stars(invoice)
    assert again["state"] == "declined" and "paid already" in again["reason"]
    assert await buyer.bought() == [5]


async def test_somebody_elses_invoice_is_not_paid(buyer: Buyer, other_buyer: Buyer, world: BotWorld) -> None:
    """Invoices can be forwarded."""
    await buyer.order_by_stars()
    (payment,) = await world.rows(
        "SELECT substr(stream, 9) FROM events WHERE type = 'PaymentOrdered' ORDER BY position DESC LIMIT 1"
    )
    query = {
        "id": "1", "from": other_buyer.as_sender()["from"], "currency": "XTR", "total_amount": 300,
        "invoice_payload": f"nc1:{payment[0]}:credits-5:5::en",
    }  # fmt: skip
    await world.inject(FIRST_UPDATE + 1, query, kind="pre_checkout_query")
    await eventually(lambda: handled(world, FIRST_UPDATE + 1), what="an answer")
    assert '"refusal": "foreign"' in world.bot.log


GROUP = {"id": -100_500, "type": "supergroup", "title": "Sellers"}
ANONYMOUS = {"id": 1_087_968_824, "is_bot": True, "first_name": "Group"}


async def told_in_a_group(
    world: BotWorld, update_id: int, buyer: Buyer, sender: dict[str, Any] | None, kind: str = "successful"
) -> None:
    """What Telegram says when the buyer's newest invoice is paid in a group; nobody is told in private."""
    (payment,) = await world.rows(
        "SELECT substr(stream, 9) FROM events WHERE type = 'PaymentOrdered' ORDER BY position DESC LIMIT 1"
    )
    told = {
        "currency": "XTR", "total_amount": 300, "invoice_payload": f"nc1:{payment[0]}:credits-5:5::en",
        "telegram_payment_charge_id": f"stx-group-{buyer.chat.user_id}", "provider_payment_charge_id": "1",
    }  # fmt: skip
    message = {"message_id": 7, "date": 1, "chat": GROUP, f"{kind}_payment": told}
    await world.inject(update_id, message | ({"from": sender} if sender else {}))
    await eventually(lambda: handled(world, update_id), 15, what="the group's message handled")


@pytest.mark.parametrize("who", ["owner", "anonymous", "nobody"])
async def test_an_invoice_paid_in_a_group_is_settled_and_told(
    buyer: Buyer, world: BotWorld, who: str
) -> None:
    await buyer.order_by_stars()
    sender = {"owner": buyer.as_sender()["from"], "anonymous": ANONYMOUS, "nobody": None}[who]
    first = FIRST_UPDATE + 40 + 2 * ["owner", "anonymous", "nobody"].index(who)
    await told_in_a_group(world, first, buyer, sender)
    await buyer.hears("Paid\n5 credits")
    assert await buyer.bought() == [5]
    await told_in_a_group(world, first + 1, buyer, sender, "refunded")
    await eventually(lambda: _revoked(buyer, 5), 15, what="revoked credits")


async def test_who_pays_anothers_invoice_is_told_so_and_the_owner_has_the_credits(
    buyer: Buyer, other_buyer: Buyer, world: BotWorld
) -> None:
    await buyer.order_by_stars()
    await told_in_a_group(world, FIRST_UPDATE + 50, buyer, other_buyer.as_sender()["from"])
    await buyer.hears("Paid\n5 credits")
    await other_buyer.hears("somebody else's invoice")
    assert (await buyer.bought(), await other_buyer.bought()) == ([5], [])
    assert "paid_by_another" in world.bot.log


async def test_a_forwarded_invoice_leads_to_the_bot(buyer: Buyer) -> None:
    invoice = await buyer.order_by_stars()
    assert invoice["invoice"]["start_parameter"] == "topup"


async def test_a_charge_that_is_told_twice_is_one_grant(buyer: Buyer, world: BotWorld) -> None:
    await buyer.pay_stars(await buyer.order_by_stars())
    await eventually(lambda: has(buyer, [5]), what="credits")
    charge = await buyer.charge()
    for number in (10, 11):
        update_id, message = paid_message(charge, FIRST_UPDATE + number)
        await world.inject(update_id, message)
    await eventually(lambda: handled(world, FIRST_UPDATE + 11), what="the second telling handled")
    assert await buyer.bought() == [5]
    assert len(await buyer.events("PaymentSucceeded")) == 1


async def test_another_charge_of_one_invoice_is_a_second_grant_and_an_alarm(
    buyer: Buyer, world: BotWorld
) -> None:
    """It should be refused before; but what was taken is credited."""
    await buyer.pay_stars(await buyer.order_by_stars())
    await buyer.hears("Paid\n5 credits")
    update_id, message = paid_message(
        await buyer.charge(), FIRST_UPDATE + 20, telegram_payment_charge_id=f"stx-again-{buyer.chat.user_id}"
    )
    await world.inject(update_id, message)
    await buyer.hears("paid more than once")
    assert await buyer.bought() == [5, 5]
    assert "paid_twice" in world.bot.log


async def test_stars_of_another_sum_bring_nothing_and_an_alarm(buyer: Buyer, world: BotWorld) -> None:
    await buyer.order_by_stars()
    (payment,) = await world.rows(
        "SELECT substr(stream, 9) FROM events WHERE type = 'PaymentOrdered' ORDER BY position DESC LIMIT 1"
    )
    message = buyer.as_sender() | {
        "message_id": 5,
        "successful_payment": {
            "currency": "XTR", "total_amount": 1, "invoice_payload": f"nc1:{payment[0]}:credits-5:5::en",
            "telegram_payment_charge_id": f"stx-cheap-{buyer.chat.user_id}",
            "provider_payment_charge_id": "1",
        },
    }  # fmt: skip
    await world.inject(FIRST_UPDATE + 30, message)
    await eventually(lambda: _flagged(buyer), what="a flag")
    assert await buyer.bought() == []


async def _flagged(buyer: Buyer) -> bool:
    return [flag["problem"] for flag in await buyer.events("PaymentFlagged")] == ["amount"]


async def test_stars_sent_back_take_the_credits(buyer: Buyer, world: BotWorld) -> None:
    await buyer.pay_stars(await buyer.order_by_stars())
    await eventually(lambda: has(buyer, [5]), what="credits")
    charge = (await buyer.charge())["successful_payment"]["telegram_payment_charge_id"]
    reply = await buyer.http.post(
        f"{world.sandbox_url}/telegram/bot{TOKEN}/refundStarPayment",
        json={"user_id": buyer.chat.user_id, "telegram_payment_charge_id": charge},
    )
    assert reply.json()["ok"], reply.text
    await eventually(lambda: _revoked(buyer, 5), what="revoked credits")
    await buyer.hears("Sent back to you")
    (refund,) = await buyer.events("PaymentRefunded")
    assert refund["provider_refund"] == charge


async def _revoked(buyer: Buyer, credits: int) -> bool:
    return [revoked["amount"] for revoked in await buyer.events("CreditsRevoked")] == [credits]


@pytest.mark.chaos
async def test_a_bot_killed_between_payment_and_grant_loses_nothing(buyer: Buyer, world: BotWorld) -> None:
    """The payment waits for the log, which somebody else holds; there the bot dies."""
    invoice = await buyer.order_by_stars()
    holder = await asyncpg.connect(world.database_url)
    try:
        await holder.execute("BEGIN; LOCK TABLE ledger.append_lock IN EXCLUSIVE MODE")
        assert (await buyer.pay_stars(invoice))["state"] == "paid"
        await eventually(lambda: _begun(buyer), what="the payment in the inbox, begun")
        world.bot.kill()
        assert await buyer.bought() == []
    finally:
        await holder.close()
    world.bot.start(wait_s=60)
    await buyer.hears("Paid\n5 credits")
    assert await buyer.bought() == [5]


async def _begun(buyer: Buyer) -> bool:
    rows = await buyer.world.rows(
        "SELECT begun FROM updates WHERE chat_id = $1 AND body::text LIKE '%successful_payment%'",
        buyer.chat.user_id,
    )
    return any(row[0] for row in rows)


def test_the_bot_asks_telegram_for_what_stars_need() -> None:
    assert {"message", "pre_checkout_query"} <= set(ALLOWED_UPDATES)
