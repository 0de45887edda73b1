"""Taps and their answers; invoices, the ten seconds of pre-checkout, Stars back."""

import asyncio
from typing import Any

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import (
    CallbackQuery,
    InaccessibleMessage,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    LabeledPrice,
    Message,
    PreCheckoutQuery,
)

from services.sandbox.telegram import buttons, payments
from tests.support.each import each
from tests.support.waiting import eventually
from tests.unit.services.sandbox.telegram.conftest import Sandbox

BUTTON = InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="Да", callback_data="yes")]])
TOO_OLD = "query is too old and response timeout expired or query ID is invalid"


async def tapped(bot: Bot) -> CallbackQuery:
    [query] = [update.callback_query for update in await bot.get_updates() if update.callback_query]
    return query


async def test_a_tap_reaches_the_bot_and_its_answer_the_person(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    sent = await bot.send_message(5, "выбор", reply_markup=BUTTON)
    before = (await sandbox.sees(5))["next"]
    tap = {"message_id": sent.message_id, "data": "yes", "wait": 10}
    tapping = asyncio.create_task(sandbox.person("5/tap", tap))
    await eventually(lambda: _tapped(bot))

    query = await tapped(bot)
    assert isinstance(query.message, Message) and query.message.reply_markup and query.data == "yes"
    assert await bot.answer_callback_query(query.id, text="Принято", show_alert=True)

    answered = await tapping
    assert answered["answer"] == {"text": "Принято", "show_alert": True, "url": ""}
    [notice] = (await sandbox.sees(5, before))["notices"]
    assert notice["type"] == "callback_answer" and notice["text"] == "Принято"
    with pytest.raises(TelegramBadRequest, match=TOO_OLD):
        await bot.answer_callback_query(query.id)


async def _tapped(bot: Bot) -> bool:
    return any(update.callback_query for update in await bot.get_updates())


async def test_an_answer_that_comes_late_is_refused(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    sent = await bot.send_message(5, "выбор", reply_markup=BUTTON)
    await sandbox.person("5/tap", {"message_id": sent.message_id, "data": "yes"})
    query = await tapped(bot)
    sandbox.clock.advance(buttons.LIFETIME_S + 1)
    with pytest.raises(TelegramBadRequest, match=TOO_OLD):
        await bot.answer_callback_query(query.id)


async def test_stale_and_foreign_taps_go_through_as_real_clients_send_them(
    sandbox: Sandbox, bot: Bot
) -> None:
    await sandbox.says(5, "hi")
    sent = await bot.send_message(5, "выбор", reply_markup=BUTTON)

    stale = {"message_id": sent.message_id, "data": "no-longer-there"}
    assert (await sandbox.person("5/tap", stale))["ok"]
    assert (await sandbox.person("6/tap", stale, status=404))["ok"] is False
    await sandbox.person("6/tap", stale | {"chat_id": 5})
    await bot.delete_message(5, sent.message_id)
    await sandbox.person("5/tap", stale)

    queries = [update.callback_query for update in await bot.get_updates() if update.callback_query]
    assert [query.from_user.id for query in queries] == [5, 6, 5]
    assert queries[1].message and queries[1].message.chat.id == 5
    assert isinstance(queries[2].message, InaccessibleMessage)
    await sandbox.person("5/tap", {"message_id": sent.message_id, "data": "я" * 33}, status=400)


async def invoice(bot: Bot, **changes: Any) -> Message:
    fields: dict[str, Any] = {
        "chat_id": 5,
        "title": "10 видео",
        "description": "Пакет",
        "payload": "order:1",
        "currency": "XTR",
        "prices": [LabeledPrice(label="Пакет", amount=250)],
    }
    return await bot.send_invoice(**(fields | changes))


async def asked(bot: Bot, sandbox: Sandbox) -> PreCheckoutQuery:
    async def find() -> PreCheckoutQuery | None:
        return next((u.pre_checkout_query for u in await bot.get_updates() if u.pre_checkout_query), None)

    found = await eventually(find)
    assert found
    return found


async def test_stars_are_paid_and_given_back(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    sent = await invoice(bot)
    assert sent.invoice and sent.invoice.total_amount == 250
    paying = asyncio.create_task(sandbox.person("5/pay", {"message_id": sent.message_id}))
    query = await asked(bot, sandbox)
    assert (query.currency, query.total_amount, query.invoice_payload) == ("XTR", 250, "order:1")

    await bot.answer_pre_checkout_query(query.id, ok=True)

    assert (await paying)["state"] == "paid"
    paid = (await bot.get_updates())[-1].message
    assert paid and paid.successful_payment
    charge_id = paid.successful_payment.telegram_payment_charge_id
    transactions = (await bot.get_star_transactions()).transactions
    assert [(t.id, t.amount) for t in transactions] == [(charge_id, 250)]
    seen = (await sandbox.sees(5))["messages"]
    assert [m.get("paid") for m in seen if m["message_id"] == sent.message_id] == [True]

    assert await bot.refund_star_payment(5, charge_id)
    back = (await bot.get_updates())[-1].message
    assert back and back.refunded_payment
    assert back.refunded_payment.telegram_payment_charge_id == charge_id
    with pytest.raises(TelegramBadRequest, match="CHARGE_ALREADY_REFUNDED"):
        await bot.refund_star_payment(5, charge_id)
    with pytest.raises(TelegramBadRequest, match="CHARGE_NOT_FOUND"):
        await bot.refund_star_payment(6, charge_id)
    last = (await bot.get_star_transactions()).transactions[-1]
    assert last.id == charge_id and last.receiver and not last.source


async def test_a_bot_that_is_silent_for_ten_seconds_sells_nothing(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    sent = await invoice(bot)
    paying = asyncio.create_task(sandbox.person("5/pay", {"message_id": sent.message_id}))
    query = await asked(bot, sandbox)

    sandbox.clock.advance(payments.PRE_CHECKOUT_S)

    assert (await paying)["state"] == "timed_out"
    with pytest.raises(TelegramBadRequest, match=TOO_OLD):
        await bot.answer_pre_checkout_query(query.id, ok=True)
    assert (await bot.get_star_transactions()).transactions == []


async def test_a_bot_may_decline_with_a_reason(sandbox: Sandbox, bot: Bot) -> None:
    await sandbox.says(5, "hi")
    sent = await invoice(bot)
    paying = asyncio.create_task(sandbox.person("5/pay", {"message_id": sent.message_id}))
    query = await asked(bot, sandbox)
    envelope = await sandbox.call("answerPreCheckoutQuery", 400, pre_checkout_query_id=query.id, ok=False)
    assert envelope["description"] == 'Bad Request: parameter "error_message" is required'

    await bot.answer_pre_checkout_query(query.id, ok=False, error_message="Пакет устарел")

    outcome = await paying
    assert (outcome["state"], outcome["reason"]) == ("declined", "Пакет устарел")


@each(
    ("changes", "complaint"),
    [
        ({"prices": [LabeledPrice(label="a", amount=1)] * 2}, "STARS_INVOICE_INVALID"),
        ({"prices": [LabeledPrice(label="a", amount=0)]}, "CURRENCY_TOTAL_AMOUNT_INVALID"),
        ({"payload": "я" * 65}, "INVOICE_PAYLOAD_INVALID"),
        ({"currency": "RUB"}, "PAYMENT_PROVIDER_INVALID"),
        ({"title": "x" * 33}, "TITLE_INVALID"),
    ],
)
async def test_unusable_invoices_are_refused(
    sandbox: Sandbox, bot: Bot, changes: dict[str, Any], complaint: str
) -> None:
    await sandbox.says(5, "hi")
    with pytest.raises(TelegramBadRequest, match=complaint):
        await invoice(bot, **changes)
