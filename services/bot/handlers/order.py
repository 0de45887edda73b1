"""Making an order, from the photo to the number of videos."""

from typing import Final

import structlog
from aiogram import F, Router
from aiogram.filters import Command, StateFilter
from aiogram.types import CallbackQuery, Message, TelegramObject
from aiogram.utils.i18n import gettext as _
from msgspec.structs import replace

from services.adapters.telegram.callback_data import (
    ChooseCount,
    ChooseStyle,
    Menu,
    MenuAction,
    OtherStyle,
    SkipWishes,
)
from services.adapters.telegram.client import (
    DOWNLOAD_BYTES_MAX,
    FileTooLargeError,
    TelegramFileError,
    download,
)
from services.bot.handlers.confirm import offer, too_late_s
from services.bot.inputs import SPLIT_CHARS, TEXT_CHARS_MAX, content_of, photo_file, says_something, tidy
from services.bot.order_form import (
    COUNTS,
    Create,
    OrderForm,
    is_current,
    step_after,
    step_name,
    unfinished,
)
from services.bot.photos import PHOTO_BYTES_MAX, PhotoError, TooManyPhotosError, prepare_photo
from services.bot.replies import Conversation
from services.bot.screens import order
from services.bot.screens.labels import style_mark, style_name
from services.bot.screens.menu import Screen
from services.bot.screens.refusals import photo_problem
from services.generation.prompts.styles import load_styles, style_of
from services.platform.blobs import one_chunk
from services.platform.ids import new_id

router = Router(name="create")

PHOTO_STEPS = (None, Create.photo, Create.product)
"""Where a photo is welcome: also at the very beginning, without a word, and to replace the one just sent."""


def is_photo(message: Message) -> bool:
    return content_of(message) == "photo"


def is_plain_text(message: Message) -> bool:
    return message.text is not None and not message.text.startswith("/")


@router.message(Command("create", "new"))
@router.callback_query(Menu.filter_action(MenuAction.CREATE))
async def start(event: TelegramObject, chat: Conversation) -> None:
    """Begin anew, unless that would lose an order; a confirm screen further up still works."""
    if not chat.shop.takes_orders(chat.shop.model):
        await chat.send_screen(order.unavailable())
        return
    if flow := await unfinished(chat.state):
        await chat.send_screen(order.in_the_making(flow))
        return
    flow = OrderForm(id=new_id())
    await chat.save_form(flow)
    await chat.prompt_step(str(Create.photo.state), flow)


@router.callback_query(Menu.filter_action(MenuAction.RESUME))
async def resume(query: CallbackQuery, chat: Conversation) -> None:
    there = await chat.repeat_step()
    await chat.answer_tap("" if there else _("There is no order to go on with."))


@router.message(StateFilter(*PHOTO_STEPS), is_photo)
async def photo(message: Message, chat: Conversation) -> None:
    """Take the photo; its caption, if there is one, is the description."""
    flow = await chat.load_form()
    if await _of_known_album(message, chat, flow):
        return
    replaced = bool(flow.photo) and flow.photo_message != message.message_id  # not a replayed update
    blob = await take_photo(message, chat)
    if blob is None:
        return
    here = await chat.state.get_state()
    changed = step_name(here) in flow.route  # only some parts are; else it begins anew
    kept = flow if changed else OrderForm(id=flow.id or new_id())
    album = message.media_group_id or ""
    flow = replace(kept, photo=blob, photo_message=message.message_id, album=album, album_told=False)
    if message.caption and (product := accepted_text(message.caption)):
        flow = replace(flow, product=product, product_message=message.message_id)
    await chat.save_form(flow)
    if replaced:
        await chat.send_screen(Screen(_("📷 I have taken the new photo instead of the old one.")))
    step = step_after(str(Create.photo.state), flow, Create.style if flow.product else Create.product)
    if kept.route and here == Create.product.state:
        step = str(here)  # the words are still waited for
    await chat.prompt_step(step, flow)


@router.message(StateFilter(Create), is_photo)
async def photo_too_many(message: Message, chat: Conversation) -> None:
    flow = await chat.load_form()
    if await _of_known_album(message, chat, flow):
        return
    text = _("📷 I have a photo for this order already. To take another one, /cancel and start anew.")
    await chat.send_screen(Screen(text))
    await chat.repeat_step()


async def _of_known_album(message: Message, chat: Conversation, flow: OrderForm) -> bool:
    """Whether the photo is another of the order's album; said once per album."""
    if not message.media_group_id or message.media_group_id != flow.album:
        return False
    if not flow.album_told:
        text = _("🖼 One photo per order: I have taken the first of the album.")
        await chat.send_screen(Screen(text))
        await chat.save_form(replace(flow, album_told=True))
    return True


@router.message(Create.product, is_plain_text)
async def product(message: Message, chat: Conversation) -> None:
    flow = await chat.load_form()
    text = await take_text(message, chat, flow)
    if text is None:
        return
    flow = replace(flow, product=text, product_message=message.message_id)
    await chat.save_form(flow)
    step = step_after(str(await chat.state.get_state()), flow, Create.style)
    await chat.prompt_step(step, flow)


@router.callback_query(Create.style, ChooseStyle.filter(F.style.in_(load_styles())), is_current)
async def style(query: CallbackQuery, callback_data: ChooseStyle, chat: Conversation) -> None:
    flow = await chat.load_form()
    flow = replace(flow, style=callback_data.style, wishes="", wishes_message=0)
    await chat.save_form(flow)
    await chat.prompt_step(str(Create.wishes.state), flow)
    chosen = _("{mark} Style: <b>{style}</b>").format(
        mark=style_mark(flow.style), style=style_name(flow.style)
    )
    await chat.edit_screen(Screen(chosen))


@router.message(Create.wishes, is_plain_text)
async def wishes(message: Message, chat: Conversation) -> None:
    flow = await chat.load_form()
    text = await take_text(message, chat, flow)
    if text is None:
        return
    await _to_count(chat, replace(flow, wishes=text, wishes_message=message.message_id))


@router.callback_query(Create.wishes, SkipWishes.filter(), is_current)
async def no_wishes(query: CallbackQuery, chat: Conversation) -> None:
    flow = await chat.load_form()
    if style_of(flow.style).own_prompt:
        await chat.answer_tap(_("This style needs a prompt."))
        return
    await _to_count(chat, replace(flow, wishes="", wishes_message=0))
    await chat.remove_buttons()


async def _to_count(chat: Conversation, flow: OrderForm) -> None:
    flow = replace(flow, draft=new_id(), route=())
    await chat.save_form(flow)
    await chat.prompt_step(str(Create.count.state), flow)


@router.callback_query(Create.count, OtherStyle.filter(), is_current)
async def other_style(query: CallbackQuery, chat: Conversation) -> None:
    await chat.prompt_step(str(Create.style.state), await chat.load_form())
    await chat.remove_buttons()


@router.callback_query(Create.count, ChooseCount.filter(F.count.in_(COUNTS)), is_current)
async def count(query: CallbackQuery, callback_data: ChooseCount, chat: Conversation) -> None:
    flow = await chat.load_form()
    if not (flow.photo and flow.product and flow.style and flow.draft):  # Redis lost a part
        await chat.save_form(OrderForm())
        await start(query, chat)
        return
    shop, balance = chat.shop, await chat.balance()
    needed = shop.model.price_credits * callback_data.count
    if balance < needed:
        problem, said = order.short_text(needed), _("Not enough credits.")
    elif not shop.takes_orders(shop.model):
        problem, said = order.unavailable_text(), _("Temporarily unavailable.")
    elif late_s := await too_late_s(chat, shop.model, callback_data.count):
        problem, said = order.overloaded_text(late_s), _("Very many orders right now.")
    else:
        await offer(chat, flow, callback_data.count, balance)
        await chat.remove_buttons()
        return
    await chat.edit_screen(order.count(flow, shop.model, balance, problem, short=balance < needed))
    await chat.answer_tap(said)


logger = structlog.get_logger()

_SPLIT_SLACK: Final = 96
"""Clients cut at a space near the limit."""


async def take_photo(message: Message, chat: Conversation) -> str | None:
    """Download, prepare and store the photo; its blob key, or None when they were told why not."""
    file = photo_file(message)
    assert file is not None
    try:
        if file.size_bytes > DOWNLOAD_BYTES_MAX:
            raise FileTooLargeError(f"{file.size_bytes} bytes")
        async with chat.shop.photos:
            photo = await prepare_photo(await download(chat.bot, file.file_id), chat.person.account)
        key, most = f"photos/{new_id()}.jpg", chat.shop.settings.photo_bytes_per_day
        if not await chat.shop.people.own_photo(key, chat.person.account, len(photo.data), most):
            raise TooManyPhotosError("too many bytes of photos")
    except (PhotoError, TelegramFileError) as error:
        logger.info("photo_refused", reason=type(error).__name__, account=chat.person.account)
        await chat.send_screen(Screen(photo_problem(error)), answer_to=message.message_id)
        return None
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
    text = accepted_text(message.text or "")
    if text is not None and not is_rest(message, flow):
        return text
    await refuse_text(message, chat, flow)
    return None


def is_rest(message: Message, flow: OrderForm) -> bool:
    return flow.cut_text > 0 and flow.cut_text == message.message_id - 1


async def refuse_text(message: Message, chat: Conversation, flow: OrderForm) -> None:
    """Say what is wrong with the text. A client cuts a long text into several messages: what follows directly
    upon a refused full one is its rest, and must not be taken for a short text of its own."""
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
