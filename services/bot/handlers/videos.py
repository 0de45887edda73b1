"""My videos: one at a time, sent again, or as a file while kept."""

from collections.abc import Iterator

from aiogram import Router
from aiogram.exceptions import TelegramBadRequest
from aiogram.filters import Command
from aiogram.types import (
    CallbackQuery,
    InputFile,
    InputMediaAnimation,
    InputMediaVideo,
    Message,
    TelegramObject,
)
from aiogram.utils.i18n import gettext as _

from services.adapters.telegram.callback_data import Menu, MenuAction, Video
from services.adapters.telegram.client import edit_media, is_chat_gone
from services.adapters.telegram.send import file_id_of
from services.adapters.telegram.video_file import BlobFile, upload_timeout_s
from services.bot.order_history import Film
from services.bot.replies import Conversation
from services.bot.screens import videos as screens
from services.bot.screens.menu import Screen

router = Router(name="videos")


@router.message(Command("videos"))
@router.callback_query(Menu.filter_action(MenuAction.VIDEOS))
async def newest(event: TelegramObject, chat: Conversation) -> None:
    await show(chat, 0)


@router.callback_query(Video.filter())
async def tapped(query: CallbackQuery, callback_data: Video, chat: Conversation) -> None:
    """Act on one of their own videos; an old or forged position shows the next older."""
    position = min(max(0, callback_data.position), 2**53)
    film = await chat.shop.history.film(chat.person.account, position)
    if callback_data.do == "show" or film is None or film.position != position:
        await show(chat, position)
    elif not await chat.shop.sends_again(chat.person):
        await chat.answer_tap(_("✋ That was a lot of videos. Please go on in an hour."), alert=True)
    elif callback_data.do == "file":
        await _send_file(chat, film)
    elif await _send(chat, film, Screen(screens.caption(film))) is None:
        await chat.answer_tap(screens.gone(), alert=True)


async def show(chat: Conversation, position: int) -> None:
    """Show a video on the panel, over the one that was tapped."""
    film = await chat.shop.history.film(chat.person.account, position)
    if film is None:
        await chat.show_panel(screens.none_yet())
        return
    screen, panel = screens.film(film), (await chat.load_data()).panel
    over = chat.event.message if isinstance(chat.event, CallbackQuery) else None
    if isinstance(over, Message) and over.message_id == panel and (over.video or over.animation):
        for media in _media(film, screen.text):
            try:
                if await edit_media(chat.bot, chat.person.chat_id, panel, media, screen.buttons):
                    return
                break
            except TelegramBadRequest:
                continue  # Telegram does not know the file any more, or as something else
    sent = await _send(chat, film, screen)
    if sent is None:
        await chat.show_panel(Screen(screens.gone(), screen.buttons))
        return
    await chat.replace_panel(sent.message_id)
    if isinstance(chat.event, Message):
        await chat.lead_back()


def _media(film: Film, caption: str) -> Iterator[InputMediaVideo | InputMediaAnimation]:
    """As what Telegram may have the file: a short video without sound is an animation."""
    if film.file:
        yield InputMediaVideo(media=film.file, caption=caption)
        yield InputMediaAnimation(media=film.file, caption=caption)


async def _send(chat: Conversation, film: Film, screen: Screen) -> Message | None:
    """Send by file id, or else upload the stored file; None: neither is there."""
    for media in _media(film, screen.text):
        send = chat.bot.send_video if isinstance(media, InputMediaVideo) else chat.bot.send_animation
        try:
            return await send(
                chat.person.chat_id, film.file, caption=screen.text, reply_markup=screen.buttons
            )
        except TelegramBadRequest as error:
            if is_chat_gone(error):
                raise
    file = await _upload(chat, film)
    if file is None:
        return None
    sent = await chat.bot.send_video(
        chat.person.chat_id,
        file,
        caption=screen.text,
        reply_markup=screen.buttons,
        supports_streaming=True,
        request_timeout=upload_timeout_s(film.size_bytes),
    )
    if name := file_id_of(sent):
        await chat.shop.history.keep_file(chat.person.account, film.position, name)
    return sent


async def _send_file(chat: Conversation, film: Film) -> None:
    file = await _upload(chat, film)
    if file is None:
        await chat.answer_tap(screens.not_kept(), alert=True)
        return
    await chat.answer_tap()  # now: the file takes a while
    await chat.bot.send_document(
        chat.person.chat_id,
        file,
        disable_content_type_detection=True,
        request_timeout=upload_timeout_s(film.size_bytes),
    )


async def _upload(chat: Conversation, film: Film) -> InputFile | None:
    if not film.kept or await chat.shop.blobs.size_bytes(film.blob) is None:
        return None
    return BlobFile(chat.shop.blobs, film.blob)
