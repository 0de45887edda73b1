"""Making an order, from the photo to the number of videos."""

from aiogram import Bot, F, Router
from aiogram.filters import Command, StateFilter
from aiogram.fsm.context import FSMContext
from aiogram.types import CallbackQuery, Message
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
from services.adapters.telegram.client import answer_tap
from services.bot.context import BotContext, Person
from services.bot.handlers.confirm import offer, too_late_s
from services.bot.inputs import content_of
from services.bot.order_form import (
    COUNTS,
    OWN,
    STYLES,
    Create,
    OrderForm,
    is_current,
    load_form,
    save_form,
    step_after,
    step_name,
    unfinished,
)
from services.bot.photo_intake import accepted_text, is_rest, refuse_text, take_photo
from services.bot.replies import edit_screen, prompt_step, repeat_step, send_screen, without_buttons
from services.bot.screens import order
from services.bot.screens.labels import style_mark, style_name
from services.bot.screens.menu import Screen
from services.platform.ids import new_id

router = Router(name="create")

PHOTO_STEPS = (None, Create.photo, Create.product)
"""Where a photo is welcome: also at the very beginning, without a word, and to replace the one just sent."""


def is_photo(message: Message) -> bool:
    return content_of(message) == "photo"


def is_plain_text(message: Message) -> bool:
    return message.text is not None and not message.text.startswith("/")


@router.message(Command("create", "new"))
async def begin(message: Message, bot: Bot, shop: BotContext, person: Person, state: FSMContext) -> None:
    await start(bot, shop, person, state)


@router.callback_query(Menu.filter_action(MenuAction.CREATE))
async def begin_tapped(
    query: CallbackQuery, bot: Bot, shop: BotContext, person: Person, state: FSMContext
) -> None:
    await start(bot, shop, person, state)
    await answer_tap(bot, query.id)


async def start(bot: Bot, shop: BotContext, person: Person, state: FSMContext) -> None:
    """Begin anew, unless that would lose an order; a confirm screen further up still works."""
    if not shop.takes_orders(shop.model):
        await send_screen(bot, person.chat_id, order.unavailable())
        return
    if flow := await unfinished(state):
        await send_screen(bot, person.chat_id, order.in_the_making(flow))
        return
    flow = OrderForm(id=new_id())
    await save_form(state, flow)
    await prompt_step(bot, shop, person, state, str(Create.photo.state), flow)


@router.callback_query(Menu.filter_action(MenuAction.RESUME))
async def resume(query: CallbackQuery, bot: Bot, shop: BotContext, person: Person, state: FSMContext) -> None:
    there = await repeat_step(bot, shop, person, state)
    await answer_tap(bot, query.id, "" if there else _("There is no order to go on with."))


@router.message(StateFilter(*PHOTO_STEPS), is_photo)
async def photo(message: Message, bot: Bot, shop: BotContext, person: Person, state: FSMContext) -> None:
    """Take the photo; its caption, if there is one, is the description."""
    flow = await load_form(state)
    if await _of_known_album(message, bot, person, state, flow):
        return
    replaced = bool(flow.photo) and flow.photo_message != message.message_id  # not a replayed update
    blob = await take_photo(message, bot, shop, person)
    if blob is None:
        return
    here = await state.get_state()
    changed = step_name(here) in flow.route  # only some parts are; else it begins anew
    kept = flow if changed else OrderForm(id=flow.id or new_id())
    album = message.media_group_id or ""
    flow = replace(kept, photo=blob, photo_message=message.message_id, album=album, album_told=False)
    if message.caption and (product := accepted_text(message.caption)):
        flow = replace(flow, product=product, product_message=message.message_id)
    await save_form(state, flow)
    if replaced:
        await send_screen(
            bot, person.chat_id, Screen(_("📷 I have taken the new photo instead of the old one."))
        )
    step = step_after(str(Create.photo.state), flow, Create.style if flow.product else Create.product)
    if kept.route and here == Create.product.state:
        step = str(here)  # the words are still waited for
    await prompt_step(bot, shop, person, state, step, flow)


@router.message(StateFilter(Create), is_photo)
async def photo_too_many(
    message: Message, bot: Bot, shop: BotContext, person: Person, state: FSMContext
) -> None:
    flow = await load_form(state)
    if await _of_known_album(message, bot, person, state, flow):
        return
    text = _("📷 I have a photo for this order already. To take another one, /cancel and start anew.")
    await send_screen(bot, person.chat_id, Screen(text))
    await repeat_step(bot, shop, person, state)


async def _of_known_album(
    message: Message, bot: Bot, person: Person, state: FSMContext, flow: OrderForm
) -> bool:
    """Whether this is another photo of the album the order's photo is from; said once per album."""
    if not message.media_group_id or message.media_group_id != flow.album:
        return False
    if not flow.album_told:
        text = _("🖼 One photo per order: I have taken the first of the album.")
        await send_screen(bot, person.chat_id, Screen(text))
        await save_form(state, replace(flow, album_told=True))
    return True


@router.message(Create.product, is_plain_text)
async def product(message: Message, bot: Bot, shop: BotContext, person: Person, state: FSMContext) -> None:
    """Take the description."""
    flow = await load_form(state)
    text = accepted_text(message.text or "")
    if text is None or is_rest(message, flow):
        await refuse_text(message, bot, person, state, flow)
        return
    flow = replace(flow, product=text, product_message=message.message_id)
    await save_form(state, flow)
    step = step_after(str(await state.get_state()), flow, Create.style)
    await prompt_step(bot, shop, person, state, step, flow)


@router.callback_query(Create.style, ChooseStyle.filter(F.style.in_(STYLES)), is_current)
async def style(
    query: CallbackQuery,
    callback_data: ChooseStyle,
    bot: Bot,
    shop: BotContext,
    person: Person,
    state: FSMContext,
) -> None:
    flow = await load_form(state)
    flow = replace(flow, style=callback_data.style, wishes="", wishes_message=0)
    await save_form(state, flow)
    await prompt_step(bot, shop, person, state, str(Create.wishes.state), flow)
    chosen = _("{mark} Style: <b>{style}</b>").format(
        mark=style_mark(flow.style), style=style_name(flow.style)
    )
    await edit_screen(bot, query, Screen(chosen))
    await answer_tap(bot, query.id)


@router.message(Create.wishes, is_plain_text)
async def wishes(message: Message, bot: Bot, shop: BotContext, person: Person, state: FSMContext) -> None:
    flow = await load_form(state)
    text = accepted_text(message.text or "")
    if text is None or is_rest(message, flow):
        await refuse_text(message, bot, person, state, flow)
        return
    await _to_count(bot, shop, person, state, replace(flow, wishes=text, wishes_message=message.message_id))


@router.callback_query(Create.wishes, SkipWishes.filter(), is_current)
async def no_wishes(
    query: CallbackQuery, bot: Bot, shop: BotContext, person: Person, state: FSMContext
) -> None:
    flow = await load_form(state)
    if flow.style == OWN:
        await answer_tap(bot, query.id, _("This style needs a prompt."))
        return
    await _to_count(bot, shop, person, state, replace(flow, wishes="", wishes_message=0))
    await without_buttons(bot, query)
    await answer_tap(bot, query.id)


async def _to_count(bot: Bot, shop: BotContext, person: Person, state: FSMContext, flow: OrderForm) -> None:
    flow = replace(flow, draft=new_id(), route=())
    await save_form(state, flow)
    await prompt_step(bot, shop, person, state, str(Create.count.state), flow)


@router.callback_query(Create.count, OtherStyle.filter(), is_current)
async def other_style(
    query: CallbackQuery, bot: Bot, shop: BotContext, person: Person, state: FSMContext
) -> None:
    await prompt_step(bot, shop, person, state, str(Create.style.state), await load_form(state))
    await without_buttons(bot, query)
    await answer_tap(bot, query.id)


@router.callback_query(Create.count, ChooseCount.filter(F.count.in_(COUNTS)), is_current)
async def count(
    query: CallbackQuery,
    callback_data: ChooseCount,
    bot: Bot,
    shop: BotContext,
    person: Person,
    state: FSMContext,
) -> None:
    """To the confirm screen, if the credits are there; otherwise say so and stay."""
    flow = await load_form(state)
    if not (flow.photo and flow.product and flow.style and flow.draft):  # Redis lost a part
        await save_form(state, OrderForm())
        await start(bot, shop, person, state)
        return
    balance = (await shop.account(person)).balance
    needed = shop.model.price_credits * callback_data.count
    if balance < needed:
        await edit_screen(
            bot, query, order.count(flow, shop.model, balance, problem=order.short_text(needed), short=True)
        )
        await answer_tap(bot, query.id, _("Not enough credits."))
        return
    if not shop.takes_orders(shop.model):
        await edit_screen(
            bot, query, order.count(flow, shop.model, balance, problem=order.unavailable_text())
        )
        await answer_tap(bot, query.id, _("Temporarily unavailable."))
        return
    late_s = await too_late_s(shop, person, shop.model, callback_data.count)
    if late_s:
        await edit_screen(
            bot, query, order.count(flow, shop.model, balance, problem=order.overloaded_text(late_s))
        )
        await answer_tap(bot, query.id, _("Very many orders right now."))
        return
    await offer(bot, shop, person, state, flow, callback_data.count, balance)
    await without_buttons(bot, query)
    await answer_tap(bot, query.id)
