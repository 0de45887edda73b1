"""What Telegram shows of us is set at the start: what is so already is left, and no failure ends the bot."""

import asyncio
from types import SimpleNamespace
from typing import Any

from aiogram.exceptions import TelegramBadRequest
from aiogram.methods import SetMyCommands, SetMyDescription, SetMyShortDescription
from aiogram.types import BotDescription, BotShortDescription

from services.bot.main import show_window
from tests.support.bot_session import memory_shop, recorded_bot

RUNTIME: Any = SimpleNamespace(stop=asyncio.Event())
SETTING = (SetMyCommands, SetMyDescription, SetMyShortDescription)


async def test_it_is_set_in_both_languages_and_only_where_it_is_otherwise() -> None:
    shop, (bot, session) = memory_shop(), recorded_bot()
    text, short = BotDescription(description=""), BotShortDescription(short_description="")
    session.answers.extend([[], True, text, True, short, True] * 2)
    await show_window(RUNTIME, shop, bot)
    first: list[Any] = [call for call in session.calls if isinstance(call, SETTING)]
    assert [call.language_code for call in first] == [None] * 3 + ["en"] * 3
    for menu, long, brief in (first[:3], first[3:]):
        session.answers.extend([menu.commands, BotDescription(description=long.description)])
        session.answers.append(BotShortDescription(short_description=brief.short_description))
    del session.calls[:]
    await show_window(RUNTIME, shop, bot)
    assert len(session.calls) == 6 and not [call for call in session.calls if isinstance(call, SETTING)]


async def test_trouble_with_it_is_no_trouble_of_the_bot() -> None:
    shop, (bot, session) = memory_shop(), recorded_bot()
    refused = TelegramBadRequest(method=SetMyCommands(commands=[]), message="BOT_COMMAND_INVALID")
    session.answers.append(refused)
    await show_window(RUNTIME, shop, bot)
    assert len(session.calls) == 1
    stopped: Any = SimpleNamespace(stop=asyncio.Event())
    stopped.stop.set()
    await show_window(stopped, shop, bot)
    assert len(session.calls) == 1
