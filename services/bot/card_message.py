"""The order card as a message: sent once, then edited by the bot until the order is placed.

From the commit on only the notifier edits it (docs/decisions/order-card.md).
"""

import contextlib

import structlog
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import (
    BufferedInputFile,
    FSInputFile,
    InlineKeyboardButton,
    InputMediaPhoto,
    InputMediaVideo,
    Message,
)
from msgspec.structs import replace

from services.accounts.drafts import Draft
from services.adapters.telegram.client import edit_caption, edit_media
from services.bot.replies import Conversation
from services.bot.screens import card
from services.bot.screens.menu import Screen
from services.generation.prompts.styles import example_of

logger = structlog.get_logger()


async def show(chat: Conversation, draft: Draft, note: str = "", *ways: InlineKeyboardButton) -> Draft:
    """Show the draft on its card, with a note and `ways` out; a card that is gone is sent again."""
    screen = card.screen(draft, await chat.balance(), note, *ways)
    return await put(chat, draft, screen, noted=bool(ways))


async def put_photo(chat: Conversation, draft: Draft) -> None:
    """Put the draft's new photo on its card."""
    await put(chat, draft, card.screen(draft, await chat.balance()), new_photo=True)


async def put(
    chat: Conversation, draft: Draft, screen: Screen, *, noted: bool = False, new_photo: bool = False
) -> Draft:
    """Put a screen on the card, and record it; the draft then.

    `noted`: it says what credits do not change."""
    sent, example = await _edit(chat, draft, screen, new_photo=new_photo)
    message_id, file = draft.message_id or 0, draft.photo_file
    if not sent:
        sent, example = await _send(chat, draft, screen), ""
        message_id = sent.message_id
    if isinstance(sent, Message) and example:
        chat.shop.examples[example] = _file_of(sent)
    elif isinstance(sent, Message):
        file = _file_of(sent) or file
    shown = replace(
        draft, message_id=message_id, photo_file=file, shown=draft.version, example=example, noted=noted
    )
    if shown != draft:
        await chat.shop.drafts.sent(shown, message_id, file, example, noted=noted)
    return shown


async def _edit(
    chat: Conversation, draft: Draft, screen: Screen, *, new_photo: bool
) -> tuple[Message | bool, str]:
    """Edit the card, if it is there: caption or picture; the style whose example it shows."""
    chat_id, message_id, example = chat.person.chat_id, draft.message_id, screen.example
    if message_id is None:
        return False, ""
    if new_photo or example != draft.example:
        try:
            media = await _media(chat, draft, screen)
            return await edit_media(chat.bot, chat_id, message_id, media, screen.buttons), example
        except TelegramBadRequest as error:
            if new_photo:
                raise
            logger.warning("card_media_refused", style=example, reason=error.message)
    there = await edit_caption(chat.bot, chat_id, message_id, screen.text, screen.buttons)
    return there, draft.example


async def _media(chat: Conversation, draft: Draft, screen: Screen) -> InputMediaPhoto | InputMediaVideo:
    """The photo, or the example that a style has."""
    path = example_of(screen.example) if screen.example else None
    if path is None:
        return InputMediaPhoto(media=draft.photo_file or await _photo(chat, draft), caption=screen.text)
    kind = InputMediaVideo if path.suffix == ".mp4" else InputMediaPhoto
    return kind(media=chat.shop.examples.get(screen.example) or FSInputFile(path), caption=screen.text)


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
    if sent.video:
        return sent.video.file_id
    return max(sent.photo, key=lambda size: size.width).file_id if sent.photo else ""
