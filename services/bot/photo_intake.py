"""Taking in what a person sends: photos and texts, or saying what is wrong with them."""

from typing import Final

import structlog
from aiogram.types import Message
from aiogram.utils.i18n import gettext as _
from msgspec.structs import replace

from services.adapters.telegram.client import (
    DOWNLOAD_BYTES_MAX,
    FileTooLargeError,
    TelegramFileError,
    download,
)
from services.bot.inputs import SPLIT_CHARS, TEXT_CHARS_MAX, photo_file, says_something, tidy
from services.bot.order_form import OrderForm
from services.bot.photos import PHOTO_BYTES_MAX, PhotoError, prepare_photo
from services.bot.replies import Conversation
from services.bot.screens.menu import Screen
from services.bot.screens.refusals import photo_problem
from services.platform.blobs import one_chunk
from services.platform.ids import new_id

logger = structlog.get_logger()

_SPLIT_SLACK: Final = 96
"""Clients cut at a space near the limit."""


async def take_photo(message: Message, chat: Conversation) -> str | None:
    """Download, prepare and store the message's photo; its blob key, or None when they were told why not."""
    file = photo_file(message)
    assert file is not None
    try:
        if file.size_bytes > DOWNLOAD_BYTES_MAX:
            raise FileTooLargeError(f"{file.size_bytes} bytes")
        async with chat.shop.photos:
            photo = await prepare_photo(await download(chat.bot, file.file_id), chat.person.account)
    except (PhotoError, TelegramFileError) as error:
        logger.info("photo_refused", reason=type(error).__name__, account=chat.person.account)
        await chat.send_screen(Screen(photo_problem(error)), answer_to=message.message_id)
        return None
    key = f"photos/{new_id()}.jpg"
    await chat.shop.people.own_blob(key, chat.person.account)
    await chat.shop.blobs.put(key, one_chunk(photo.data), size_bytes_max=PHOTO_BYTES_MAX)
    if not await chat.shop.people.use_blob(key):  # they were erased meanwhile
        await chat.shop.blobs.delete(key)
        return None
    return key


def accepted_text(raw: str) -> str | None:
    """The text as it is kept; None when it says nothing or too much."""
    text = tidy(raw)
    return text if says_something(text) and len(text) <= TEXT_CHARS_MAX else None


async def take_text(message: Message, chat: Conversation, flow: OrderForm) -> str | None:
    """The message's text as it is kept; None when they were told why not."""
    text = accepted_text(message.text or "")
    if text is not None and not is_rest(message, flow):
        return text
    await refuse_text(message, chat, flow)
    return None


def is_rest(message: Message, flow: OrderForm) -> bool:
    """Whether this directly follows a refused text of full length: then it is the end of that one."""
    return flow.cut_text > 0 and flow.cut_text == message.message_id - 1


async def refuse_text(message: Message, chat: Conversation, flow: OrderForm) -> None:
    """Say what is wrong with the text.

    A client cuts a long text into several messages: what follows directly upon a refused full one is its
    rest, and must not be taken for a short text of its own.
    """
    raw = message.text or message.caption or ""
    text = tidy(raw)
    too_long = len(text) > TEXT_CHARS_MAX
    if too_long:
        answer = _("✂️ This text is too long: {length} characters, up to {most} are fine. Please shorten it.")
        answer = answer.format(length=len(text), most=TEXT_CHARS_MAX)
    elif is_rest(message, flow):
        answer = _("✂️ This looks like the end of a text that was too long. Please send it again, shorter.")
    else:
        answer = _("✍️ I see no words here. Please write a few about it.")
    await chat.send_screen(Screen(answer))
    if len(raw) >= SPLIT_CHARS - _SPLIT_SLACK:
        await chat.save_form(replace(flow, cut_text=message.message_id))
