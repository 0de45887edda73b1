"""Fallback answers to what no other router took; the step is repeated."""

from typing import Any

from aiogram import Router
from aiogram.types import CallbackQuery, Message
from aiogram.utils.i18n import gettext as _

from services.bot.context import Person
from services.bot.inputs import Content, content_of
from services.bot.metrics import drop
from services.bot.order_form import Create, TopUpStep
from services.bot.replies import Conversation
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
    text = _("This belongs to an earlier step or order; nothing was changed. Go on below, or open the /menu.")
    await chat.answer_tap(text)


@router.message()
async def anything(message: Message, chat: Conversation) -> None:
    content = content_of(message)
    if content == "service":
        return drop("message", "service")
    step = await chat.state.get_state()
    answer = _wrong_here(message, content, step)
    if step is None:
        await chat.send_screen(Screen(answer, keyboard([create_button()], [home_button()])))
        return
    await chat.send_screen(Screen(answer))
    await chat.repeat_step()


def _wrong_here(message: Message, content: Content, step: Any) -> str:
    if message.text is not None and message.text.startswith("/"):
        return _("🤷 I do not know this command. What I can do: /help")
    if step == Create.photo.state:
        if content == "text":
            return _("📷 First I need a photo of the product; the description comes next.")
        if content in ("video", "animation"):
            return _("🎞 This is a video, and I need a still photo: I will make the video out of it.")
        return _("📷 This is not a photo. Please send a photo of the product.")
    if step in (Create.product.state, Create.wishes.state) and content != "text":
        return _("✍️ Here I need text. Please write a message.")
    if step == TopUpStep.contact.state:
        return _("✍️ Here I need an e-mail or a phone number for the receipt.")
    if step == Create.confirm.state:
        return _("👆 Please use the buttons under the order.")
    if step is not None:
        return _("👇 Please choose with the buttons.")
    if content in ("video", "animation"):
        return _("🎞 Videos I make myself: send me a photo of a product, and I will start.")
    return _("🤔 I did not understand that. Send me a photo of a product, or choose from the menu.")
