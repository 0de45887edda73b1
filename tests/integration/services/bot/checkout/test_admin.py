"""Admins in the chat: confirmed, an event with their name, and for everybody else no such command."""

import pytest

from services.adapters.telegram.callback_data import AdminDo, AdminDrop
from tests.integration.services.bot.checkout.buyer import CHECK, Buyer
from tests.integration.services.bot.people import ORDER

DO = AdminDo.__prefix__ + ":"
DROP = AdminDrop.__prefix__


async def manual(buyer: Buyer) -> list[tuple[int, str, str]]:
    """Credits granted by hand: how many, why and by whom."""
    granted = await buyer.events("CreditsGranted")
    return [(g["amount"], g["reason"], g["actor"]) for g in granted if g["kind"] == "manual"]


async def test_a_grant_is_confirmed_and_happens_once(admin: Buyer, buyer: Buyer) -> None:
    await admin.say(f"/grant {buyer.chat.user_id} 3 sorry for <the> wait")
    words = await admin.hears("Grant 3 credits")
    assert "2 → 5" in words and await manual(buyer) == []
    button = await admin.sees(DO)
    for _ in range(2):
        await admin.chat.tap(button, wait_s=60)
    await admin.hears("Done at position")
    of_admin = "SELECT account FROM accounts WHERE telegram_id = $1"
    ((account,),) = await admin.world.rows(of_admin, admin.chat.user_id)
    assert await manual(buyer) == [(3, "sorry for <the> wait", f"account:{account}")]
    reads = "SELECT actor, what, telegram_id FROM person_reads JOIN accounts USING (account)"
    noted = [tuple(row) for row in await admin.world.rows(reads)]
    assert noted == [(f"account:{account}", "/grant", buyer.chat.user_id)]


async def test_what_is_left_alone_does_not_happen(admin: Buyer, buyer: Buyer) -> None:
    await admin.say(f"/grant {buyer.chat.user_id} 4 no")
    await admin.sees(DO)
    await admin.press(DROP)
    await admin.hears("Left as it was")
    assert await manual(buyer) == []


async def test_a_command_changed_after_it_was_shown_is_not_done(admin: Buyer, buyer: Buyer) -> None:
    await admin.say(f"/grant {buyer.chat.user_id} 1 small")
    button = await admin.sees(DO)
    command = next(m for m in reversed(admin.chat.messages) if m.get("text", "").endswith("1 small"))
    await admin.http.post(
        f"{admin.world.sandbox_url}/chat/{admin.chat.user_id}/edit",
        json={"message_id": command["message_id"], "text": f"/grant {buyer.chat.user_id} 999 small"},
    )
    await admin.tap(button)
    assert [amount for amount, _, _ in await manual(buyer)] in ([], [1])


async def test_an_unfinished_job_is_ended_and_refunded(admin: Buyer, buyer: Buyer) -> None:
    confirm = await buyer.to_confirm()
    await buyer.tap(confirm)
    await buyer.hears("in the queue")
    (charged,) = await buyer.events("CreditsCharged")
    await admin.say(f"/refund_job {charged['job']} asked for it")
    late = await admin.sees(DO)
    await admin.say(f"/refund_job {charged['job']} asked for it again")
    await admin.press(DO)
    await admin.hears("Done at position")
    await admin.chat.tap(late, wait_s=60)
    assert "Nothing was done" in await admin.hears("has failed")
    assert [refund["amount"] for refund in await buyer.events("CreditsRefunded")] == [1]
    await buyer.hears("credit is back")
    await admin.say(f"/user {buyer.chat.user_id}")
    assert charged["job"] in await admin.hears("Balance: 2")


async def test_sales_are_paused_and_resumed_from_the_chat(admin: Buyer, buyer: Buyer) -> None:
    """No order and no payment meanwhile, whatever was open; what had begun goes on, and the card waits."""
    by_card = await buyer.order_by_card()
    invoice = await buyer.order_by_stars()
    confirm = await buyer.to_confirm()
    await admin.say("/pause the price is wrong")
    assert "what was ordered is made" in await admin.hears("Sales are open")
    await admin.press(DO)
    await admin.hears("Done at position")
    try:
        await buyer.tap(confirm)
        await buyer.hears("taking no orders and no payments")
        assert await buyer.events("CreditsCharged") == []
        declined = await buyer.pay_stars(invoice)
        assert declined["state"] == "declined" and "no payments right now" in declined["reason"]
        await buyer.say("/topup")
        await buyer.hears("taking no orders and no payments")
        await buyer.at_the_page("pay")
        await buyer.tap(await buyer.sees_any(f"{CHECK}{by_card}"))
        await buyer.hears("Paid")
        await admin.say("/pause once more")
        assert "the price is wrong" in await admin.hears("Sales are paused")
        await admin.press(DO)
        await admin.hears("It was so already")
    finally:
        await admin.say("/resume it is right")
        await admin.press(DO)
        await admin.hears("Done at position")
    await buyer.tap(await buyer.sees_any(ORDER))
    await buyer.hears("in the queue")
    assert (await buyer.pay_stars(invoice))["state"] == "paid"


@pytest.mark.parametrize(
    "command", ["/grant 1 2 three", "/refund_job j why", "/user 1", "/sales", "/pause x", "/resume x"]
)
async def test_for_everybody_else_there_is_no_such_command(buyer: Buyer, command: str) -> None:
    await buyer.say(command)
    await buyer.hears("do not know this command")
    assert await manual(buyer) == []


@pytest.mark.parametrize(
    "command", ["/grant", "/grant 1 0 x", "/grant 1 2", "/refund_job x", "/user", "/pause"]
)
async def test_what_cannot_be_read_is_explained(admin: Buyer, command: str) -> None:
    await admin.say(command)
    await admin.hears("commands like these")


async def test_nobody_by_that_name(admin: Buyer) -> None:
    await admin.say("/user 123456789012")
    await admin.hears("no such user")
