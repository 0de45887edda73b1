"""Cancel or change a draft or its words, order the same once more, come back from buying credits."""

from typing import Literal

from aiogram import Bot, Router
from aiogram.filters import Command
from aiogram.fsm.context import FSMContext
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
from services.adapters.telegram.client import answer_tap, edit_buttons, edit_text
from services.bot.context import BotContext, Person
from services.bot.handlers.confirm import is_ordered, leave, own_draft, settle
from services.bot.handlers.order import is_plain_text
from services.bot.handlers.topup import leave_contact
from services.bot.moderation import Part
from services.bot.order_form import (
    Create,
    OrderForm,
    from_draft,
    is_current,
    load_form,
    save_form,
    unfinished,
)
from services.bot.photo_intake import accepted_text, refuse_text
from services.bot.replies import edit_screen, prompt_step, repeat_step, send_screen, without_buttons
from services.bot.screens import order
from services.bot.screens.menu import Screen, create_button, home_button, keyboard

router = Router(name="drafts")


@router.callback_query(Cancel.filter())
async def cancel(
    query: CallbackQuery, callback_data: Cancel, bot: Bot, shop: BotContext, person: Person, state: FSMContext
) -> None:
    if await shop.people.draft(callback_data.draft) is None:  # dropped already, maybe by this very tap
        await edit_screen(bot, query, order.cancelled())
        await answer_tap(bot, query.id)
        return
    draft = await own_draft(query, bot, shop, person, callback_data.draft)
    if draft is None:
        return
    if await is_ordered(shop, draft):
        await settle(shop, state, draft)
        await answer_tap(bot, query.id, _("Too late to cancel: the order is placed already."), alert=True)
        return
    await edit_screen(bot, query, order.cancelled())
    await leave(state, draft)
    await shop.people.drop_draft(draft.draft)
    await answer_tap(bot, query.id)


@router.callback_query(ChangeDraft.filter())
async def change(
    query: CallbackQuery,
    callback_data: ChangeDraft,
    bot: Bot,
    shop: BotContext,
    person: Person,
    state: FSMContext,
) -> None:
    """Back to the number of videos and the style; the old draft goes with its buttons."""
    draft = await own_draft(query, bot, shop, person, callback_data.draft)
    if draft is None:
        return
    if await is_ordered(shop, draft):
        await answer_tap(bot, query.id, _("Too late to change: the order is placed already."), alert=True)
        return
    if await _once_more(query, bot, shop, person, state, draft):
        await edit_screen(bot, query, Screen(_("✏️ Let us change the order.")))
        await shop.people.drop_draft(draft.draft)


@router.callback_query(Mend.filter())
async def mend(
    query: CallbackQuery, callback_data: Mend, bot: Bot, shop: BotContext, person: Person, state: FSMContext
) -> None:
    """Ask anew for the parts that are not allowed, one after another, then for the number of videos."""
    draft = await own_draft(query, bot, shop, person, callback_data.draft)
    if draft is None:
        return
    if await is_ordered(shop, draft):
        await answer_tap(bot, query.id, _("Too late to change: the order is placed already."), alert=True)
        return
    parts = tuple(await shop.moderation.findings(draft))
    if await _once_more(query, bot, shop, person, state, draft, parts):
        await edit_screen(bot, query, Screen(_("✏️ Let us change the order.")))
        await shop.people.drop_draft(draft.draft)


@router.callback_query(Again.filter())
async def again(
    query: CallbackQuery, callback_data: Again, bot: Bot, shop: BotContext, person: Person, state: FSMContext
) -> None:
    """A new order with the photo and the words of an earlier one, straight at the number of videos."""
    draft = await own_draft(query, bot, shop, person, callback_data.draft)
    if draft is None:
        return
    if not shop.takes_orders(shop.model):
        await send_screen(bot, person.chat_id, order.unavailable(draft))
        await answer_tap(bot, query.id)
        return
    await _once_more(query, bot, shop, person, state, draft)


async def _once_more(
    query: CallbackQuery,
    bot: Bot,
    shop: BotContext,
    person: Person,
    state: FSMContext,
    draft: Draft,
    parts: tuple[Part, ...] = (),
) -> bool:
    """Ask for `parts` and the number with what the draft holds; False when that cannot be.

    Its photo or words may be gone, or another order be in the making, which this one would replace.
    """
    previous = await load_form(state)
    if previous.draft != draft.draft and await unfinished(state):
        await send_screen(bot, person.chat_id, order.in_the_making(previous))
        await answer_tap(bot, query.id)
        return False
    brief = await shop.people.brief(draft.brief)
    kept = await shop.people.use_blob(draft.photo) and await shop.blobs.size_bytes(draft.photo) is not None
    if brief is None or not kept:
        await send_screen(bot, person.chat_id, order.photo_gone())
        await answer_tap(bot, query.id)
        return False
    flow = from_draft(draft, brief)
    if previous.draft == draft.draft:
        flow = replace(flow, id=previous.id or flow.id, photo_message=previous.photo_message)
    if parts:
        flow = replace(flow, route=(*parts, "count"))
    await save_form(state, flow)
    step = getattr(Create, parts[0]) if parts else Create.count
    await prompt_step(bot, shop, person, state, str(step.state), flow)
    await answer_tap(bot, query.id)
    return True


@router.callback_query(BackToOrder.filter())
async def back(
    query: CallbackQuery,
    callback_data: BackToOrder,
    bot: Bot,
    shop: BotContext,
    person: Person,
    state: FSMContext,
) -> None:
    """From buying credits to where the order was left: the confirm screen, or the step before the draft."""
    flow = await load_form(state)
    if flow.buying is not None and flow.buying.draft == callback_data.draft:
        await leave_contact(state)
        flow = await load_form(state)
    if await shop.people.draft(callback_data.draft) is None:
        there = flow.draft == callback_data.draft and await repeat_step(bot, shop, person, state)
        await answer_tap(bot, query.id, "" if there else _("There is no order to go on with."))
        return
    draft = await own_draft(query, bot, shop, person, callback_data.draft)
    if draft is None:
        return
    if await is_ordered(shop, draft):
        await answer_tap(bot, query.id, _("This order is placed already: one tap is enough."))
        return
    photo = flow.photo_message if flow.draft == draft.draft else 0
    brief = await shop.people.brief(draft.brief) or Brief("")
    screen = order.confirm(draft, brief, (await shop.account(person)).balance, photo_quoted=bool(photo))
    if draft.message_id is not None:
        await edit_buttons(bot, person.chat_id, draft.message_id)
    await shop.people.set_draft_message(
        draft.draft, await send_screen(bot, person.chat_id, screen, answer_to=photo)
    )
    await answer_tap(bot, query.id)


@router.message(Command("cancel"))
async def cancel_command(
    message: Message, bot: Bot, shop: BotContext, person: Person, state: FSMContext
) -> None:
    await _drop(bot, shop, person, state)


@router.callback_query(Drop.filter(), is_current)
async def cancel_tapped(
    query: CallbackQuery, bot: Bot, shop: BotContext, person: Person, state: FSMContext
) -> None:
    await _drop(bot, shop, person, state)
    await without_buttons(bot, query)
    await answer_tap(bot, query.id)


async def _drop(bot: Bot, shop: BotContext, person: Person, state: FSMContext) -> None:
    """Drop the order that is being made; placed ones go on."""
    if await state.get_state() is None:
        text = _("There is nothing to cancel. Orders that are placed go on.")
        await send_screen(bot, person.chat_id, Screen(text, keyboard([create_button()], [home_button()])))
        return
    draft = await shop.people.draft((await load_form(state)).draft)
    if draft is not None and not await is_ordered(shop, draft):
        if draft.message_id is not None:
            await edit_buttons(bot, person.chat_id, draft.message_id)
        await shop.people.drop_draft(draft.draft)
    await send_screen(bot, person.chat_id, order.cancelled())
    await state.clear()


@router.message(Create.style, is_plain_text)
async def words(message: Message, bot: Bot, person: Person, state: FSMContext) -> None:
    """Ask whether it is a new description: taken for one by mistake, it would be charged."""
    await send_screen(
        bot, person.chat_id, order.new_words(await load_form(state)), answer_to=message.message_id
    )


@router.callback_query(Create.style, Describe.filter(), is_current)
async def describe(
    query: CallbackQuery, bot: Bot, shop: BotContext, person: Person, state: FSMContext
) -> None:
    """Take the message above the button, as it is now."""
    said = query.message.reply_to_message if isinstance(query.message, Message) else None
    text = accepted_text(said.text or "") if said is not None else None
    if said is None or text is None:
        answer = _("This cannot be the description: it is gone, too long, or has no words in it.")
        await answer_tap(bot, query.id, answer, alert=True)
        return
    await save_form(state, replace(await load_form(state), product=text, product_message=said.message_id))
    await edit_screen(bot, query, Screen(_("✍️ I have taken the new description.")))
    await repeat_step(bot, shop, person, state)
    await answer_tap(bot, query.id)


@router.edited_message()
async def edited(message: Message, bot: Bot, shop: BotContext, person: Person, state: FSMContext) -> None:
    """Change the words in the order being made and in every draft that has them; a placed one keeps its own.

    Telegram also sends edits that change no words of ours: those are not answered.
    """
    flow = await load_form(state)
    drafts = await shop.people.drafts_with(person.account, message.message_id)
    placed = [draft for draft in drafts if await is_ordered(shop, draft)]
    old: list[tuple[OrderForm | Draft, Brief]] = [(flow, Brief(flow.product, flow.wishes))]
    old += [(draft, await shop.people.brief(draft.brief) or Brief("")) for draft in drafts]
    text = accepted_text(message.text or message.caption or "")
    new = [(of, replace(brief, **{part: text or ""})) for of, brief in old if (part := _part(of, message))]
    changed = [(of, brief) for of, brief in new if (of, brief) not in old]
    to_change = [(of, brief) for of, brief in changed if of not in placed]
    if changed and not to_change:
        answer = _("✏️ The order with these words is placed already: it is made with the words as they were.")
        await send_screen(bot, person.chat_id, Screen(answer), answer_to=message.message_id)
    elif to_change and text is None:
        await refuse_text(message, bot, person, state, flow)
    elif to_change:
        for of, brief in to_change:
            if isinstance(of, OrderForm):
                await save_form(state, replace(flow, product=brief.product, wishes=brief.wishes))
            else:
                await _change(bot, shop, person, flow, of, brief)
        await send_screen(bot, person.chat_id, Screen(_("✏️ I have taken the changed words.")))


async def _change(
    bot: Bot, shop: BotContext, person: Person, flow: OrderForm, draft: Draft, brief: Brief
) -> None:
    """Change a draft's words and the screen that shows them."""
    await shop.people.change_text(draft.brief, brief)
    if draft.message_id is not None:
        quoted = flow.draft == draft.draft and bool(flow.photo_message)
        screen = order.confirm(draft, brief, (await shop.account(person)).balance, photo_quoted=quoted)
        await edit_text(bot, person.chat_id, draft.message_id, screen.text, screen.buttons)


def _part(of: OrderForm | Draft, message: Message) -> Literal["product", "wishes"] | None:
    """What the message says in it."""
    if of.product_message == message.message_id:
        return "product"
    return "wishes" if of.wishes_message == message.message_id else None
