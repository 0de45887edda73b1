"""Saying things: screens sent, shown over an older message, and the person's own step asked for again."""

from aiogram import Bot
from aiogram.fsm.context import FSMContext
from aiogram.types import CallbackQuery, ReplyParameters
from aiogram.utils.i18n import gettext as _

from services.adapters.telegram.client import edit_buttons, edit_text
from services.bot.context import BotContext, Person
from services.bot.order_form import Create, OrderForm, TopUpStep, load_form
from services.bot.screens import order, topup
from services.bot.screens.menu import Screen


async def send_screen(bot: Bot, chat_id: int, screen: Screen, *, answer_to: int = 0) -> int:
    """Send a screen, as an answer to a message if there is one; the new message's id."""
    quoted = ReplyParameters(message_id=answer_to, allow_sending_without_reply=True) if answer_to else None
    sent = await bot.send_message(chat_id, screen.text, reply_markup=screen.buttons, reply_parameters=quoted)
    return sent.message_id


async def edit_screen(bot: Bot, query: CallbackQuery, screen: Screen) -> None:
    """Show a screen in place of the tapped message; as a new one where that is not possible."""
    if query.message is not None:
        chat_id, message_id = query.message.chat.id, query.message.message_id
        if await edit_text(bot, chat_id, message_id, screen.text, screen.buttons):
            return
    await send_screen(bot, query.from_user.id, screen)


async def without_buttons(bot: Bot, query: CallbackQuery) -> None:
    """Take the buttons from the tapped message: its step is over."""
    if query.message is not None:
        await edit_buttons(bot, query.message.chat.id, query.message.message_id)


async def prompt_step(
    bot: Bot, shop: BotContext, person: Person, state: FSMContext, step: str, flow: OrderForm
) -> None:
    """Ask for what `step` needs, then make it the person's step: killed in between, it is asked twice."""
    await send_screen(bot, person.chat_id, await step_screen(shop, person, step, flow))
    await state.set_state(step)


async def repeat_step(bot: Bot, shop: BotContext, person: Person, state: FSMContext) -> bool:
    """After something else was answered: repeat what the person's step waits for. Whether there is a step."""
    step = await state.get_state()
    if step is None:
        return False
    flow = await load_form(state)
    if step == Create.confirm.state:
        draft = await shop.people.draft(flow.draft)
        if draft is None:
            await state.clear()
            return False
        text = _("⬆️ Your order waits for you: confirm or cancel it.")
        await send_screen(bot, person.chat_id, Screen(text), answer_to=draft.message_id or 0)
    else:
        await send_screen(bot, person.chat_id, await step_screen(shop, person, step, flow))
    return True


async def step_screen(shop: BotContext, person: Person, step: str, flow: OrderForm) -> Screen:
    """The screen of a step other than the confirm screen."""
    if step == TopUpStep.contact.state:
        return topup.contact(flow.buying)
    if step == Create.photo.state:
        return order.photo(flow)
    if step == Create.product.state:
        return order.product(flow)
    if step == Create.style.state:
        return order.style(flow)
    if step == Create.wishes.state:
        return order.wishes(flow)
    return order.count(flow, shop.model, (await shop.account(person)).balance)
