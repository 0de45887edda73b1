"""Replies in the chat: screens sent, edited, or answered to the order card."""

from contextlib import suppress
from dataclasses import dataclass

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError
from aiogram.fsm.context import FSMContext
from aiogram.types import (
    BotCommand,
    BotCommandScopeChat,
    CallbackQuery,
    Message,
    ReplyParameters,
    TelegramObject,
)
from msgspec.structs import replace

from services.adapters.telegram import client
from services.adapters.telegram.client import edit_buttons, edit_text
from services.bot.chat_state import Awaiting, ChatData, load_data, save_data
from services.bot.context import BotContext, Person
from services.bot.screens import card, topup
from services.bot.screens.menu import Screen, commands


async def send_screen(bot: Bot, chat_id: int, screen: Screen, *, answer_to: int = 0) -> int:
    """Send a screen, in reply to a message if there is one; the new message's id."""
    quoted = ReplyParameters(message_id=answer_to, allow_sending_without_reply=True) if answer_to else None
    sent = await bot.send_message(chat_id, screen.text, reply_markup=screen.buttons, reply_parameters=quoted)
    return sent.message_id


@dataclass
class Conversation:
    """Reply context of one update: person, what is waited for, tapped button."""

    bot: Bot
    shop: BotContext
    person: Person
    state: FSMContext
    event: TelegramObject
    update_id: int = 0
    answered: bool = False
    """Whether the tap is answered; one that no handler answers is answered after it."""

    @property
    def tapped(self) -> CallbackQuery:
        """Only for a button's handler."""
        assert isinstance(self.event, CallbackQuery)
        return self.event

    async def balance(self) -> int:
        return (await self.shop.account(self.person)).balance

    async def load_data(self) -> ChatData:
        return await load_data(self.state)

    async def save_data(self, data: ChatData) -> None:
        await save_data(self.state, data)

    async def send_screen(self, screen: Screen, *, answer_to: int = 0) -> int:
        return await send_screen(self.bot, self.person.chat_id, screen, answer_to=answer_to)

    async def send_aside(self, screen: Screen) -> None:
        """Send what is no part of what is waited for; after a command one line leads back to that."""
        await self.send_screen(screen)
        if isinstance(self.event, Message):
            await self.lead_back()

    async def show_panel(self, screen: Screen, *, aside: bool = True) -> None:
        """Show a screen of menu or cabinet: over the last one when that was tapped, else in its place.
        `aside`: as in `send_aside`, after a command one line leads back."""
        panel = (await self.load_data()).panel
        tapped = self.event.message if isinstance(self.event, CallbackQuery) else None
        over = tapped is not None and tapped.message_id == panel
        chat_id, text, buttons = self.person.chat_id, screen.text, screen.buttons
        if over and await edit_text(self.bot, chat_id, panel, text, buttons):
            return
        await self.replace_panel(await self.send_screen(screen))
        if aside and isinstance(self.event, Message):
            await self.lead_back()

    async def replace_panel(self, message_id: int) -> None:
        """Make a message that was just sent the panel; the one before loses its buttons."""
        data = await self.load_data()
        if data.panel:
            await edit_buttons(self.bot, self.person.chat_id, data.panel)
        await self.save_data(replace(data, panel=message_id))

    async def lead_back(self) -> bool:
        """Say what is waited for: the receipt's address, or the order card, which is quoted."""
        if await self.state.get_state() == Awaiting.contact.state:
            await self.send_screen(topup.contact((await self.load_data()).buying))
            return True
        draft = await self.shop.drafts.open(self.person.account)
        if draft is None or draft.message_id is None:
            return False
        await self.send_screen(card.waits(), answer_to=draft.message_id)
        return True

    async def edit_screen(self, screen: Screen) -> None:
        """Edit the tapped message into a screen; send a new one where that is not possible."""
        message = self.tapped.message
        if message is None or not await edit_text(
            self.bot, message.chat.id, message.message_id, screen.text, screen.buttons
        ):
            await self.send_screen(screen)

    async def offer_commands(self, *offered: BotCommand) -> None:
        """List these or all commands of this chat; best effort."""
        scope = BotCommandScopeChat(chat_id=self.person.chat_id)
        with suppress(TelegramAPIError):
            await self.bot.set_my_commands(list(offered) or commands(invites=self.shop.invites), scope=scope)

    async def answer_tap(self, text: str = "", *, alert: bool = False) -> None:
        """Answer the tapped button; a text has no such answer."""
        if isinstance(self.event, CallbackQuery):
            self.answered = True
            await client.answer_tap(self.bot, self.event.id, text, alert=alert)

    async def remove_buttons(self, *, but_of: int | None = None) -> None:
        """Remove the buttons of the tapped message, unless it is that one."""
        if (message := self.tapped.message) is not None and message.message_id != but_of:
            await edit_buttons(self.bot, message.chat.id, message.message_id)
