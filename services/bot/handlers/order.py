"""An order in the making: its photo and its words, as messages come; docs/decisions/order-card.md."""

from typing import Final

import structlog
from aiogram import Router
from aiogram.filters import Command, StateFilter
from aiogram.types import CallbackQuery, Message, TelegramObject
from aiogram.utils.i18n import gettext as _
from msgspec.structs import replace

from services.accounts.drafts import Draft, Offered
from services.accounts.personal_data import Brief
from services.adapters.telegram.callback_data import BackToOrder, Menu, MenuAction
from services.adapters.telegram.client import (
    DOWNLOAD_BYTES_MAX,
    FileTooLargeError,
    TelegramFileError,
    download,
    edit_buttons,
)
from services.bot import text_intent
from services.bot.card_message import put_photo, show
from services.bot.chat_state import Awaiting
from services.bot.handlers.place_order import begin, own_draft, place, priced
from services.bot.handlers.questions import answer
from services.bot.inputs import (
    SPLIT_CHARS,
    TEXT_CHARS_MAX,
    PhotoFile,
    is_photo,
    is_plain_text,
    photo_file,
    says_something,
    tidy,
)
from services.bot.photos import PHOTO_BYTES_MAX, Photo, PhotoError, TooManyPhotosError, prepare_photo
from services.bot.replies import Conversation
from services.bot.screens import card
from services.bot.screens.menu import Screen, create_button, home_button, keyboard
from services.bot.screens.refusals import photo_problem
from services.generation.prompts.styles import load_styles, style_of
from services.platform.blobs import one_chunk
from services.platform.ids import new_id

router = Router(name="order")

logger = structlog.get_logger()

_UNASKED: Final = ~StateFilter(Awaiting.contact)
_WIDE: Final = 1.25
"""A photo that is so many times as wide as high loses half the product in a vertical video."""
_SPLIT_SLACK: Final = 96
"""Clients cut at a space near the limit."""


async def open_draft(chat: Conversation) -> Draft | None:
    """The person's order in the making. One that was being placed is placed first, or found refused."""
    draft = await chat.shop.drafts.open(chat.person.account)
    if draft is None or not draft.confirmed:
        return draft
    await place(chat, draft)
    return await chat.shop.drafts.open(chat.person.account)


async def on_card(chat: Conversation) -> Draft | None:
    """The order in the making, shown: it may have changed just before a kill, or have no card yet."""
    draft = await open_draft(chat)
    if draft is not None and draft.shown != draft.version:
        draft = await show(chat, draft)
    return draft


@router.message(Command("create", "new"))
@router.callback_query(Menu.filter_action(MenuAction.CREATE))
async def start(event: TelegramObject, chat: Conversation) -> None:
    """Ask for a photo, unless an order is in the making."""
    if draft := await on_card(chat):
        await chat.send_screen(card.in_the_making(draft), answer_to=draft.message_id or 0)
    elif not chat.shop.takes_orders(chat.shop.model):
        await chat.send_screen(card.unavailable(chat.shop.rest_s(chat.shop.model)))
    else:
        await chat.send_screen(card.send_photo())


@router.callback_query(Menu.filter_action(MenuAction.RESUME))
async def resume(query: CallbackQuery, chat: Conversation) -> None:
    there = await on_card(chat) is not None and await chat.lead_back()
    await chat.answer_tap("" if there else _("There is no order to go on with."))


@router.callback_query(BackToOrder.filter())
async def back(query: CallbackQuery, callback_data: BackToOrder, chat: Conversation) -> None:
    """From buying credits back to the order in the making."""
    draft = await own_draft(chat, callback_data.draft)
    if draft is None:
        return
    if draft.confirmed or draft.ordered:
        await place(chat, draft)
        return
    await show(chat, draft)
    await chat.send_screen(card.waits(), answer_to=draft.message_id or 0)


@router.message(_UNASKED, is_photo)
async def photo(message: Message, chat: Conversation) -> None:
    """Begin an order with the photo; its caption, if there is one, is the description."""
    draft = await open_draft(chat)
    file, album, asked = photo_file(message), message.media_group_id or "", draft and draft.offered
    assert file is not None
    offered = Offered(message.message_id, message.caption or "", file.file_id, file.size_bytes, album)
    if draft is None:
        await _begin(message, chat, file)
    elif draft.photo_message == message.message_id:  # the same update once more
        await show(chat, draft)
    elif album and album == draft.album:
        text = _("🖼 One photo per order: I have taken the first of the album.")
        if draft.offered is None:  # said once per album
            await chat.shop.drafts.look(draft.draft, draft.view, Offered(message.message_id))
            await chat.send_screen(Screen(text), answer_to=draft.message_id or 0)
    elif draft.view == "photo":  # it is waited for
        await take_offered_photo(chat, replace(draft, offered=offered, view=""))
    elif not (album and asked and asked.album == album and asked.message != message.message_id):
        await chat.shop.drafts.look(draft.draft, draft.view, offered)
        offer = card.offer_photo(draft, message.message_id, words=accepted_text(offered.text) is not None)
        await chat.send_screen(offer, answer_to=message.message_id)
    if len(tidy(message.caption or "")) > TEXT_CHARS_MAX:
        await refuse_text(message, chat)


async def _begin(message: Message, chat: Conversation, file: PhotoFile) -> None:
    taken = await take_photo(chat, file, message.message_id)
    if taken is None:
        return
    key, prepared = taken
    product = accepted_text(message.caption or "") or ""
    last = await chat.shop.drafts.newest_ordered(chat.person.account)
    flow = await chat.load_data()
    styles = [s for s in (flow.style, last.style if last else "") if s in load_styles()]
    draft = Draft(
        draft=new_id(),
        account=chat.person.account,
        chat_id=chat.person.chat_id,
        photo=key,
        photo_file=message.photo[-1].file_id if message.photo else "",
        photo_message=message.message_id,
        album=message.media_group_id or "",
        brief=new_id(),
        words=Brief(product),
        style=styles[0] if styles else "",
        format=last.format if last and styles else "9:16",
        seconds=last.seconds if last and styles else 5,
        product_message=message.message_id,
        changed_by=chat.update_id,
    )
    if prepared.width >= prepared.height * _WIDE and "16:9" in style_of(draft.style).formats:
        draft = replace(draft, format="16:9")
    await begin(chat, draft)
    if flow.style:
        await chat.save_data(replace(await chat.load_data(), style=""))


@router.message(_UNASKED, Command("cancel"))
async def cancel(message: Message, chat: Conversation) -> None:
    draft = await open_draft(chat)
    if draft is None:
        text = _("There is nothing to cancel. Orders that are placed go on.")
        await chat.send_screen(Screen(text, keyboard([create_button()], [home_button()])))
        return
    await drop(chat, draft)


async def drop(chat: Conversation, draft: Draft) -> None:
    if draft.message_id is not None:
        await edit_buttons(chat.bot, chat.person.chat_id, draft.message_id)
    await chat.send_screen(card.cancelled())
    await chat.shop.drafts.drop(draft.draft)


@router.message(_UNASKED, is_plain_text)
async def words(message: Message, chat: Conversation) -> None:
    """Take the words that are waited for; any other text means a tap, asks something, or is asked about."""
    text = message.text or ""
    draft = await open_draft(chat)
    if draft is not None and draft.changed_by == chat.update_id:
        await show(chat, draft)  # the same update once more
        return
    waited = draft and (draft.view or card.missing(draft))
    if question := text_intent.question_in(text):
        await answer(chat, question.topic, making=draft is not None)
        if draft is not None and waited in ("product", "wishes"):  # or are these the words?
            await _offer(message, chat, draft)
        return
    if draft is None:
        last = await chat.shop.drafts.newest_ordered(chat.person.account)
        if last is None or last.changed_by != chat.update_id:  # else it was this very text that ordered
            await chat.send_screen(_not_understood())
        return
    if waited == "numbers" and text.strip().isdecimal():
        await _number(chat, draft, int(text))
        return
    match text_intent.intent_of(text, load_styles()):
        case text_intent.Agreed() if draft.shown == draft.version and not draft.view:
            await place(chat, draft)
            await chat.lead_back()  # to what the card says, unless it is ordered
        case text_intent.Chosen(style) if waited != "wishes":
            await change(chat, replace(draft, style=style, view=""))
        case None | text_intent.Chosen() if waited in ("product", "wishes"):
            if (accepted := await take_text(message, chat)) is not None:
                await _say(chat, draft, waited, accepted, message.message_id)
        case _:
            await _offer(message, chat, draft)


async def _offer(message: Message, chat: Conversation, draft: Draft) -> None:
    if (accepted := await take_text(message, chat)) is not None:
        await chat.shop.drafts.look(draft.draft, draft.view, Offered(message.message_id, accepted))
        offer = card.offer_words(draft, accepted, message.message_id)
        await chat.send_screen(offer, answer_to=message.message_id)


def _not_understood() -> Screen:
    text = _("🤔 I did not understand that. Send me a photo of a product, or choose from the menu.")
    return Screen(text, keyboard([create_button()], [home_button()]))


async def _number(chat: Conversation, draft: Draft, number: int) -> None:
    if not 1 <= number <= card.NUMBER_MAX:
        text = _("🔢 From 1 to {most} videos fit into one order.")
        await chat.send_screen(Screen(text.format(most=card.NUMBER_MAX)))
        return
    await change(chat, replace(draft, number=number, view=""))


async def _say(chat: Conversation, draft: Draft, part: str, text: str, message_id: int) -> bool:
    said = replace(draft, words=replace(draft.words, **{part: text}), view="")
    return await change(chat, replace(said, **{f"{part}_message": message_id}))


async def change(chat: Conversation, draft: Draft) -> bool:
    """Store what would be ordered as the next version, and show it; False when it has changed meanwhile."""
    changed = await chat.shop.drafts.change(priced(chat, draft), chat.update_id)
    if changed is not None:
        await show(chat, changed)
    return changed is not None


async def take_offered(chat: Conversation, draft: Draft, part: str) -> bool:
    """Take the text that was asked about as `part`; False when it is gone."""
    offered = draft.offered
    if offered is None or not offered.text:
        return False
    return await _say(chat, draft, part, offered.text, offered.message)


async def take_offered_photo(chat: Conversation, draft: Draft) -> bool:
    """Take the photo that was asked about; False when it cannot be."""
    offered = draft.offered
    if offered is None or not offered.file:
        return False
    taken = await take_photo(chat, PhotoFile(offered.file, offered.size_bytes), offered.message)
    if taken is None:
        return False
    product = accepted_text(offered.text)
    said = replace(draft.words, product=product) if product else draft.words
    message = offered.message if product else draft.product_message
    new = replace(
        draft,
        photo=taken[0],
        photo_file="",
        photo_message=offered.message,
        album=offered.album,
        words=said,
        product_message=message,
    )
    changed = await chat.shop.drafts.change(priced(chat, new), chat.update_id)
    if changed is not None:
        await put_photo(chat, changed)
    return changed is not None


@router.edited_message()
async def edited(message: Message, chat: Conversation) -> None:
    """Change the words in the order in the making; a placed one keeps its own. Edits that change no words of
    ours, which Telegram sends too, are not answered."""
    raw = message.text or message.caption or ""
    told = False
    for draft in await chat.shop.drafts.with_message(chat.person.account, message.message_id):
        part = "product" if draft.product_message == message.message_id else "wishes"
        text = accepted_text(raw)
        if (text or "") == getattr(draft.words, part):
            if draft.changed_by == chat.update_id and not draft.confirmed:  # the same update once more
                await show(chat, draft)
            continue
        if draft.confirmed or draft.ordered:
            placed = _(
                "✏️ The order with these words is placed already: it is made with the words as they were."
            )
            if not told:  # of many orders with the same words once
                ways = keyboard([create_button()], [home_button()])
                await chat.send_screen(Screen(placed, ways), answer_to=message.message_id)
            told = True
        elif text is None:
            await refuse_text(message, chat)
        elif await _say(chat, draft, part, text, message.message_id):
            await chat.send_screen(Screen(_("✏️ I have taken the changed words.")))


async def take_photo(chat: Conversation, file: PhotoFile, message_id: int) -> tuple[str, Photo] | None:
    """Download, prepare and store a photo; its blob key, or None when they were told why not."""
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
        await chat.send_screen(Screen(photo_problem(error)), answer_to=message_id)
        return None
    await chat.shop.blobs.put(key, one_chunk(photo.data), size_bytes_max=PHOTO_BYTES_MAX)
    if not await chat.shop.people.use_blob(key):  # they were erased meanwhile
        await chat.shop.blobs.delete(key)
        return None
    return key, photo


def accepted_text(raw: str) -> str | None:
    """The text as it is kept; None when it says nothing or too much."""
    text = tidy(raw)
    return text if says_something(text) and len(text) <= TEXT_CHARS_MAX else None


async def take_text(message: Message, chat: Conversation) -> str | None:
    text = accepted_text(message.text or "")
    if text is not None and not await _is_rest(message, chat):
        return text
    await refuse_text(message, chat)
    return None


async def _is_rest(message: Message, chat: Conversation) -> bool:
    cut = (await chat.load_data()).cut_text
    return cut > 0 and cut == message.message_id - 1


async def refuse_text(message: Message, chat: Conversation) -> None:
    """Say what is wrong with the text. A client cuts a long text into several messages: what follows directly
    upon a refused full one is its rest, and must not be taken for a short text of its own."""
    raw = message.text or message.caption or ""
    text = tidy(raw)
    if len(text) > TEXT_CHARS_MAX:
        said = _("✂️ This text is too long: {length} characters, up to {most} are fine. Please shorten it.")
        said = said.format(length=len(text), most=TEXT_CHARS_MAX)
    elif await _is_rest(message, chat):
        said = _("✂️ This looks like the end of a text that was too long. Please send it again, shorter.")
    else:
        said = _("✍️ I see no words here. Please write a few about it.")
    await chat.send_screen(Screen(said))
    if len(raw) >= SPLIT_CHARS - _SPLIT_SLACK:
        await chat.save_data(replace(await chat.load_data(), cut_text=message.message_id))
