"""Saying things: screens sent, shown over an older message, and the person's own step asked for again."""

from aiogram import Bot
from aiogram.fsm.context import FSMContext
from aiogram.types import CallbackQuery, ReplyParameters
from aiogram.utils.i18n import gettext as _

from services.adapters.telegram import edit_buttons, edit_text
from services.bot import steps, topup_screens
from services.bot.flow import Create, Flow, TopUpStep, load
from services.bot.screens import Screen
from services.bot.shop import Person, Shop


async def say(bot: Bot, chat_id: int, screen: Screen, *, answer_to: int = 0) -> int:
    """Send a screen, as an answer to a message if there is one; the new message's id."""
    quoted = ReplyParameters(message_id=answer_to, allow_sending_without_reply=True) if answer_to else None
    sent = await bot.send_message(chat_id, screen.text, reply_markup=screen.buttons, reply_parameters=quoted)
    return sent.message_id


async def show(bot: Bot, query: CallbackQuery, screen: Screen) -> None:
    """Show a screen in place of the tapped message; as a new one where that is not possible."""
    if query.message is not None:
        chat_id, message_id = query.message.chat.id, query.message.message_id
        if await edit_text(bot, chat_id, message_id, screen.text, screen.buttons):
            return
    await say(bot, query.from_user.id, screen)


async def without_buttons(bot: Bot, query: CallbackQuery) -> None:
    """Take the buttons from the tapped message: its step is over."""
    if query.message is not None:
        await edit_buttons(bot, query.message.chat.id, query.message.message_id)


async def ask(bot: Bot, shop: Shop, person: Person, state: FSMContext, step: str, flow: Flow) -> None:
    """Ask for what `step` needs, then make it the person's step: killed in between, it is asked twice."""
    await say(bot, person.chat_id, await step_screen(shop, person, step, flow))
    await state.set_state(step)


async def ask_again(bot: Bot, shop: Shop, person: Person, state: FSMContext) -> bool:
    """After something else was answered: repeat what the person's step waits for. Whether there is a step."""
    step = await state.get_state()
    if step is None:
        return False
    flow = await load(state)
    if step == Create.confirm.state:
        draft = await shop.people.draft(flow.draft)
        if draft is None:
            await state.clear()
            return False
        text = _("⬆️ Your order waits for you: confirm or cancel it.")
        await say(bot, person.chat_id, Screen(text), answer_to=draft.message_id or 0)
    else:
        await say(bot, person.chat_id, await step_screen(shop, person, step, flow))
    return True


async def step_screen(shop: Shop, person: Person, step: str, flow: Flow) -> Screen:
    """The screen of a step other than the confirm screen."""
    if step == TopUpStep.contact.state:
        return topup_screens.contact(flow.buying)
    if step == Create.photo.state:
        return steps.photo(flow)
    if step == Create.product.state:
        return steps.product(flow)
    if step == Create.style.state:
        return steps.style(flow)
    if step == Create.wishes.state:
        return steps.wishes(flow)
    return steps.count(flow, shop.model, (await shop.account(person)).balance)
