"""Fallback answers to what no other router took; the step is repeated."""

from typing import Any

from aiogram import Router
from aiogram.types import CallbackQuery, Message
from aiogram.utils.i18n import gettext as _

from services.bot.chat_state import Awaiting
from services.bot.context import Person
from services.bot.inputs import Content, content_of
from services.bot.metrics import drop
from services.bot.replies import Conversation
from services.bot.screens.card import stale_text
from services.bot.screens.menu import Screen, create_button, home_button, keyboard

foreign = Router(name="foreign")
"""Before all others: buttons on messages of someone else's chat."""

router = Router(name="fallback")


async def not_own_chat(query: CallbackQuery, person: Person) -> bool:
    return query.message is not None and query.message.chat.id != person.chat_id


@foreign.callback_query(not_own_chat)
async def foreign_button(query: CallbackQuery, chat: Conversation) -> None:
    await chat.answer_tap(_("This button is not yours."), alert=True)


@router.callback_query()
async def stale_button(query: CallbackQuery, chat: Conversation) -> None:
    """A step that is over, an earlier order, or forged data."""
    await chat.answer_tap(stale_text())


@router.message()
async def anything(message: Message, chat: Conversation) -> None:
    content = content_of(message)
    if content == "service":
        return drop("message", "service")
    step = await chat.state.get_state()
    draft = await chat.shop.drafts.open(chat.person.account)
    screen = Screen(_wrong_here(message, content, step))
    if step is None and draft is None:
        screen = Screen(screen.text, keyboard([create_button()], [home_button()]))
    await chat.send_aside(screen)


def _wrong_here(message: Message, content: Content, step: Any) -> str:
    if message.text is not None and message.text.startswith("/"):
        return _("🤷 I do not know this command. What I can do: /help")
    if step == Awaiting.contact.state:
        return _("✍️ Here I need an e-mail or a phone number for the receipt.")
    if content in ("video", "animation"):
        return _("🎞 This is a video, and I need a still photo: I will make the video out of it.")
    return _("🤔 I did not understand that. Send me a photo of a product, or choose from the menu.")
