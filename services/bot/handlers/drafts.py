"""Drafts: cancel, change, edit words, order again, return from buying credits."""

from typing import Literal

from aiogram import Router
from aiogram.filters import Command
from aiogram.types import CallbackQuery, Message
from aiogram.utils.i18n import gettext as _
from msgspec.structs import replace

from services.accounts.personal_data import Brief, Draft
from services.adapters.telegram.callback_data import (
    Again,
    BackToOrder,
    Cancel,
    ChangeDraft,
    Describe,
    Drop,
    Mend,
)
from services.adapters.telegram.client import edit_buttons, edit_text
from services.bot.handlers.confirm import is_ordered, leave, open_draft, own_draft
from services.bot.handlers.order import accepted_text, is_plain_text, refuse_text
from services.bot.handlers.topup import leave_contact
from services.bot.moderation import Part
from services.bot.order_form import Create, OrderForm, from_draft, is_current, unfinished
from services.bot.replies import Conversation
from services.bot.screens import order
from services.bot.screens.menu import Screen, create_button, home_button, keyboard

router = Router(name="drafts")


@router.callback_query(Cancel.filter())
async def cancel(query: CallbackQuery, callback_data: Cancel, chat: Conversation) -> None:
    if await chat.shop.people.draft(callback_data.draft) is None:  # dropped already, maybe by this very tap
        await chat.edit_screen(order.cancelled())
        return
    too_late = _("Too late to cancel: the order is placed already.")
    draft = await open_draft(chat, callback_data.draft, too_late)
    if draft is None:
        return
    await chat.edit_screen(order.cancelled())
    await leave(chat.state, draft)
    await chat.shop.people.drop_draft(draft.draft)


@router.callback_query(ChangeDraft.filter())
async def change(query: CallbackQuery, callback_data: ChangeDraft, chat: Conversation) -> None:
    await _reopen(chat, callback_data.draft, refused_parts=False)


@router.callback_query(Mend.filter())
async def mend(query: CallbackQuery, callback_data: Mend, chat: Conversation) -> None:
    """Ask again for parts not allowed, then for the number of videos."""
    await _reopen(chat, callback_data.draft, refused_parts=True)


async def _reopen(chat: Conversation, draft_id: str, *, refused_parts: bool) -> None:
    too_late = _("Too late to change: the order is placed already.")
    draft = await open_draft(chat, draft_id, too_late)
    if draft is None:
        return
    parts = tuple(await chat.shop.moderation.findings(draft)) if refused_parts else ()
    if await _once_more(chat, draft, parts):
        await chat.edit_screen(Screen(_("✏️ Let us change the order.")))
        await chat.shop.people.drop_draft(draft.draft)


@router.callback_query(Again.filter())
async def again(query: CallbackQuery, callback_data: Again, chat: Conversation) -> None:
    """Order again with earlier photo and words, at the number of videos."""
    draft = await own_draft(chat, callback_data.draft)
    if draft is None:
        return
    if not chat.shop.takes_orders(chat.shop.model):
        await chat.send_screen(order.unavailable(draft))
        return
    await _once_more(chat, draft)


async def _once_more(chat: Conversation, draft: Draft, parts: tuple[Part, ...] = ()) -> bool:
    """Ask for `parts` and the number with what the draft holds; False when that cannot be. Its photo or words
    may be gone, or another order be in the making, which this one would replace."""
    previous = await chat.load_form()
    if previous.draft != draft.draft and await unfinished(chat.state):
        await chat.send_screen(order.in_the_making(previous))
        return False
    shop = chat.shop
    brief = await shop.people.brief(draft.brief)
    kept = (
        await chat.shop.people.use_blob(draft.photo)
        and await chat.shop.blobs.size_bytes(draft.photo) is not None
    )
    if brief is None or not kept:
        await chat.send_screen(order.photo_gone())
        return False
    flow = from_draft(draft, brief)
    if previous.draft == draft.draft:
        flow = replace(flow, id=previous.id or flow.id, photo_message=previous.photo_message)
    if parts:
        flow = replace(flow, route=(*parts, "count"))
    await chat.save_form(flow)
    step = getattr(Create, parts[0]) if parts else Create.count
    await chat.prompt_step(str(step.state), flow)
    return True


@router.callback_query(BackToOrder.filter())
async def back(query: CallbackQuery, callback_data: BackToOrder, chat: Conversation) -> None:
    """Return from buying credits to the confirm screen or the earlier step."""
    flow = await chat.load_form()
    if flow.buying is not None and flow.buying.draft == callback_data.draft:
        await leave_contact(chat.state)
        flow = await chat.load_form()
    if await chat.shop.people.draft(callback_data.draft) is None:
        there = flow.draft == callback_data.draft and await chat.repeat_step()
        await chat.answer_tap("" if there else _("There is no order to go on with."))
        return
    draft = await own_draft(chat, callback_data.draft)
    if draft is None:
        return
    if await is_ordered(chat.shop, draft):
        await chat.answer_tap(_("This order is placed already: one tap is enough."))
        return
    photo = flow.photo_message if flow.draft == draft.draft else 0
    brief = await chat.shop.people.brief(draft.brief) or Brief("")
    screen = order.confirm(draft, brief, await chat.balance(), photo_quoted=bool(photo))
    if draft.message_id is not None:
        await edit_buttons(chat.bot, chat.person.chat_id, draft.message_id)
    await chat.shop.people.set_draft_message(draft.draft, await chat.send_screen(screen, answer_to=photo))


@router.message(Command("cancel"))
async def cancel_command(message: Message, chat: Conversation) -> None:
    await _drop(chat)


@router.callback_query(Drop.filter(), is_current)
async def cancel_tapped(query: CallbackQuery, chat: Conversation) -> None:
    await _drop(chat)
    await chat.remove_buttons()


async def _drop(chat: Conversation) -> None:
    if await chat.state.get_state() is None:
        text = _("There is nothing to cancel. Orders that are placed go on.")
        await chat.send_screen(Screen(text, keyboard([create_button()], [home_button()])))
        return
    draft = await chat.shop.people.draft((await chat.load_form()).draft)
    if draft is not None and not await is_ordered(chat.shop, draft):
        if draft.message_id is not None:
            await edit_buttons(chat.bot, chat.person.chat_id, draft.message_id)
        await chat.shop.people.drop_draft(draft.draft)
    await chat.send_screen(order.cancelled())
    await chat.state.clear()


@router.message(Create.style, is_plain_text)
async def words(message: Message, chat: Conversation) -> None:
    """Ask whether it is a new description: taken for one by mistake, it would be charged."""
    await chat.send_screen(order.new_words(await chat.load_form()), answer_to=message.message_id)


@router.callback_query(Create.style, Describe.filter(), is_current)
async def describe(query: CallbackQuery, chat: Conversation) -> None:
    said = query.message.reply_to_message if isinstance(query.message, Message) else None
    text = accepted_text(said.text or "") if said is not None else None
    if said is None or text is None:
        answer = _("This cannot be the description: it is gone, too long, or has no words in it.")
        await chat.answer_tap(answer, alert=True)
        return
    await chat.save_form(replace(await chat.load_form(), product=text, product_message=said.message_id))
    await chat.edit_screen(Screen(_("✍️ I have taken the new description.")))
    await chat.repeat_step()


@router.edited_message()
async def edited(message: Message, chat: Conversation) -> None:
    """Change the words in the open order and every draft with them. A placed order keeps its own. Edits that
    change no words of ours, which Telegram sends too, are not answered."""
    flow = await chat.load_form()
    drafts = await chat.shop.people.drafts_with(chat.person.account, message.message_id)
    placed = [draft for draft in drafts if await is_ordered(chat.shop, draft)]
    old: list[tuple[OrderForm | Draft, Brief]] = [(flow, Brief(flow.product, flow.wishes))]
    old += [(draft, await chat.shop.people.brief(draft.brief) or Brief("")) for draft in drafts]
    text = accepted_text(message.text or message.caption or "")
    new = [(of, replace(brief, **{part: text or ""})) for of, brief in old if (part := _part(of, message))]
    changed = [(of, brief) for of, brief in new if (of, brief) not in old]
    to_change = [(of, brief) for of, brief in changed if of not in placed]
    if changed and not to_change:
        answer = _("✏️ The order with these words is placed already: it is made with the words as they were.")
        await chat.send_screen(Screen(answer), answer_to=message.message_id)
    elif to_change and text is None:
        await refuse_text(message, chat, flow)
    elif to_change:
        for of, brief in to_change:
            if isinstance(of, OrderForm):
                await chat.save_form(replace(flow, product=brief.product, wishes=brief.wishes))
            else:
                await _change(chat, flow, of, brief)
        await chat.send_screen(Screen(_("✏️ I have taken the changed words.")))


async def _change(chat: Conversation, flow: OrderForm, draft: Draft, brief: Brief) -> None:
    await chat.shop.people.change_text(draft.brief, brief)
    if draft.message_id is not None:
        quoted = flow.draft == draft.draft and bool(flow.photo_message)
        screen = order.confirm(draft, brief, await chat.balance(), photo_quoted=quoted)
        await edit_text(chat.bot, chat.person.chat_id, draft.message_id, screen.text, screen.buttons)


def _part(of: OrderForm | Draft, message: Message) -> Literal["product", "wishes"] | None:
    if of.product_message == message.message_id:
        return "product"
    return "wishes" if of.wishes_message == message.message_id else None
