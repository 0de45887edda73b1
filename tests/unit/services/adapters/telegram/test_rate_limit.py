"""What takes a slot before it is sent, and what becomes of a refusal."""

from typing import Any

import pytest
from aiogram.exceptions import TelegramRetryAfter
from aiogram.methods import SendMessage

from services.adapters.telegram.client import is_transient
from services.adapters.telegram.limits import PATIENCE_S, RateLimit, Rates, Slot, rates_for
from services.platform.settings import load_settings
from tests.support.bot_session import recorded_bot


class Limits:
    """Notes who asks; gives a slot now, or none."""

    def __init__(self, slot: Slot | None = None) -> None:
        self.slot = slot or Slot(True, 0)
        self.taken: list[int] = []
        self.paused: list[tuple[int, float]] = []

    async def take(self, chat_id: int, *, wait_s_max: float, urgent: bool = True) -> Slot:
        assert urgent
        self.taken.append(chat_id)
        return self.slot

    async def pause(self, chat_id: int, wait_s: float) -> None:
        self.paused.append((chat_id, wait_s))


def limited(limits: Any, **options: Any) -> tuple[Any, Any]:
    bot, session = recorded_bot(**options)
    session.middleware(RateLimit(limits))
    return bot, session


async def test_what_writes_into_a_chat_takes_a_slot_and_nothing_else_does() -> None:
    limits = Limits()
    bot, session = limited(limits)
    await bot.send_message(1, "x")
    await bot.edit_message_text("x", chat_id=2, message_id=1)
    await bot.edit_message_reply_markup(chat_id=3, message_id=1)
    await bot.send_invoice(4, "t", "d", "p", "XTR", [])
    await bot.answer_callback_query("q")
    await bot.answer_pre_checkout_query("q", ok=True)
    await bot.get_file("f")
    assert limits.taken == [1, 2, 3, 4] and len(session.calls) == 7


async def test_a_refusal_pauses_the_chat_for_everybody_and_is_obeyed() -> None:
    limits = Limits()
    bot, session = limited(limits)
    call = SendMessage(chat_id=5, text="x")
    session.answers.append(TelegramRetryAfter(method=call, message="Too Many Requests", retry_after=0))
    await bot.send_message(5, "x")
    assert limits.paused == [(5, 0)] and limits.taken == [5, 5] and len(session.calls) == 2


async def test_a_slot_that_is_far_away_is_trouble_that_passes() -> None:
    bot, session = limited(Limits(Slot(False, PATIENCE_S + 1)))
    with pytest.raises(TelegramRetryAfter) as raised:
        await bot.send_message(5, "x")
    assert is_transient(raised.value) and session.calls == []


def test_the_real_one_has_telegrams_rates() -> None:
    assert rates_for(load_settings(bot_token="123456789:" + "A" * 35)) == Rates()
    assert rates_for(load_settings(telegram_api_url="http://127.0.0.1:1")) == Rates()
    assert rates_for(load_settings()).chat_per_s > Rates().chat_per_s
