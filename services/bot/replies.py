"""Replies in the chat: screens sent or edited, steps asked for and repeated."""

from dataclasses import dataclass

from aiogram import Bot
from aiogram.fsm.context import FSMContext
from aiogram.types import CallbackQuery, Message, ReplyParameters, TelegramObject
from aiogram.utils.i18n import gettext as _

from services.adapters.telegram import client
from services.adapters.telegram.client import edit_buttons, edit_text
from services.bot.context import BotContext, Person
from services.bot.order_form import Create, OrderForm, TopUpStep, load_form, save_form
from services.bot.screens import order, topup
from services.bot.screens.menu import Screen


async def send_screen(bot: Bot, chat_id: int, screen: Screen, *, answer_to: int = 0) -> int:
    """Send a screen, in reply to a message if there is one; the new message's id."""
    quoted = ReplyParameters(message_id=answer_to, allow_sending_without_reply=True) if answer_to else None
    sent = await bot.send_message(chat_id, screen.text, reply_markup=screen.buttons, reply_parameters=quoted)
    return sent.message_id


@dataclass
class Conversation:
    """Reply context of one update: person, place in an order, tapped button."""

    bot: Bot
    shop: BotContext
    person: Person
    state: FSMContext
    event: TelegramObject
    answered: bool = False
    """Whether the tap is answered; one that no handler answers is answered after it."""

    @property
    def tapped(self) -> CallbackQuery:
        """Only for a button's handler."""
        assert isinstance(self.event, CallbackQuery)
        return self.event

    async def balance(self) -> int:
        return (await self.shop.account(self.person)).balance

    async def load_form(self) -> OrderForm:
        return await load_form(self.state)

    async def save_form(self, form: OrderForm) -> None:
        await save_form(self.state, form)

    async def send_screen(self, screen: Screen, *, answer_to: int = 0) -> int:
        return await send_screen(self.bot, self.person.chat_id, screen, answer_to=answer_to)

    async def send_aside(self, screen: Screen) -> None:
        """Send what is no part of an order; after a command, which a tap is not, repeat the step."""
        await self.send_screen(screen)
        if isinstance(self.event, Message):
            await self.repeat_step()

    async def edit_screen(self, screen: Screen) -> None:
        """Edit the tapped message into a screen; send a new one where that is not possible."""
        message = self.tapped.message
        if message is None or not await edit_text(
            self.bot, message.chat.id, message.message_id, screen.text, screen.buttons
        ):
            await self.send_screen(screen)

    async def answer_tap(self, text: str = "", *, alert: bool = False) -> None:
        self.answered = True
        await client.answer_tap(self.bot, self.tapped.id, text, alert=alert)

    async def remove_buttons(self) -> None:
        if (message := self.tapped.message) is not None:
            await edit_buttons(self.bot, message.chat.id, message.message_id)

    async def prompt_step(self, step: str, form: OrderForm) -> None:
        """Ask for what `step` needs, then make it the person's step: killed in between, it is asked twice."""
        await self.send_screen(await self._step_screen(step, form))
        await self.state.set_state(step)

    async def repeat_step(self) -> bool:
        """After something else was answered: repeat what the person's step waits for, if there is a step."""
        step = await self.state.get_state()
        if step is None:
            return False
        form = await self.load_form()
        if step == Create.confirm.state:
            draft = await self.shop.people.draft(form.draft)
            if draft is None:
                await self.state.clear()
                return False
            text = _("⬆️ Your order waits for you: confirm or cancel it.")
            await self.send_screen(Screen(text), answer_to=draft.message_id or 0)
        else:
            await self.send_screen(await self._step_screen(step, form))
        return True

    async def _step_screen(self, step: str, form: OrderForm) -> Screen:
        if step == TopUpStep.contact.state:
            return topup.contact(form.buying)
        if step == Create.photo.state:
            return order.photo(form)
        if step == Create.product.state:
            return order.product(form)
        if step == Create.style.state:
            return order.style(form)
        if step == Create.wishes.state:
            return order.wishes(form)
        return order.count(form, self.shop.model, await self.balance())
