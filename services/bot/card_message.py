"""The order card as a message: sent once, then edited by the bot until the order is placed.

From the commit on only the notifier edits it (docs/decisions/order-card.md).
"""

import contextlib

from aiogram.exceptions import TelegramBadRequest
from aiogram.types import BufferedInputFile, InlineKeyboardButton, InputMediaPhoto, Message
from msgspec.structs import replace

from services.accounts.drafts import Draft
from services.adapters.telegram.client import edit_caption, edit_media
from services.bot.replies import Conversation
from services.bot.screens import card
from services.bot.screens.menu import Screen


async def show(chat: Conversation, draft: Draft, note: str = "", *ways: InlineKeyboardButton) -> Draft:
    """Show the draft on its card, with a note and `ways` out; a card that is gone is sent again."""
    return await put(chat, draft, card.screen(draft, await chat.balance(), note, *ways))


async def put(chat: Conversation, draft: Draft, screen: Screen) -> Draft:
    """Put a screen on the card and record the message; the draft with it."""
    chat_id, message_id, file = chat.person.chat_id, draft.message_id, draft.photo_file
    if message_id is None or not await edit_caption(
        chat.bot, chat_id, message_id, screen.text, screen.buttons
    ):
        sent = await _send(chat, draft, screen)
        message_id, file = sent.message_id, _file_of(sent) or file
    if (message_id, file, draft.version) != (draft.message_id, draft.photo_file, draft.shown):
        await chat.shop.drafts.sent(draft, message_id, file)
    return replace(draft, message_id=message_id, photo_file=file, shown=draft.version)


async def put_photo(chat: Conversation, draft: Draft) -> None:
    """Put the draft's new photo on its card."""
    screen = card.screen(draft, await chat.balance())
    media = InputMediaPhoto(media=await _photo(chat, draft), caption=screen.text)
    there = draft.message_id is not None and await edit_media(
        chat.bot, chat.person.chat_id, draft.message_id, media, screen.buttons
    )
    await put(chat, draft if there else replace(draft, message_id=None), screen)


async def _send(chat: Conversation, draft: Draft, screen: Screen) -> Message:
    chat_id = chat.person.chat_id
    if draft.photo_file:
        with contextlib.suppress(TelegramBadRequest):  # it does not know the file any more
            return await chat.bot.send_photo(
                chat_id, draft.photo_file, caption=screen.text, reply_markup=screen.buttons
            )
    photo = await _photo(chat, draft)
    return await chat.bot.send_photo(chat_id, photo, caption=screen.text, reply_markup=screen.buttons)


async def _photo(chat: Conversation, draft: Draft) -> BufferedInputFile:
    return BufferedInputFile(await chat.shop.blobs.get(draft.photo), "photo.jpg")


def _file_of(sent: Message) -> str:
    return max(sent.photo, key=lambda size: size.width).file_id if sent.photo else ""
