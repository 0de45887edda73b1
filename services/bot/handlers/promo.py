"""/promo CODE: credits for a code, and what is said when it gives none."""

from aiogram import Bot, Router
from aiogram.filters import Command, CommandObject
from aiogram.fsm.context import FSMContext
from aiogram.types import Message
from aiogram.utils.i18n import gettext as _

from services.bot import promotions
from services.bot.context import BotContext, Person
from services.bot.replies import repeat_step, send_screen
from services.bot.screens.labels import credits_text
from services.bot.screens.menu import Screen, cabinet_button, create_button, home_button, keyboard

router = Router(name="promo")


@router.message(Command("promo"))
async def promo(
    message: Message, command: CommandObject, bot: Bot, shop: BotContext, person: Person, state: FSMContext
) -> None:
    text = (command.args or "").strip()
    await send_screen(bot, person.chat_id, await _answer(shop, person, text) if text else _how())
    await repeat_step(bot, shop, person, state)


def _how() -> Screen:
    text = _("🎟 Send the command and the code in one message, like this: <code>/promo SPRING25</code>")
    return Screen(text, keyboard([home_button()]))


async def _answer(shop: BotContext, person: Person, text: str) -> Screen:
    answer, credits = await promotions.redeem(shop, person, text)
    if answer == "given":
        balance = credits_text((await shop.account(person)).balance)
        said = _("🎉 The code works: <b>+{credits}</b>. Your balance: {balance}.").format(
            credits=credits_text(credits), balance=balance
        )
        return Screen(said, keyboard([create_button()], [cabinet_button()]))
    return Screen(_refusal(answer), keyboard([home_button()]))


def _refusal(answer: promotions.Answer) -> str:
    match answer:
        case "used before":
            return _("✅ This code is on your account already; a code works once.")
        case "ended" | "disabled":
            return _("⌛ This code is over.")
        case "used up":
            return _("😔 This code has been used up by others.")
        case "too many":
            return _("🚫 Too many codes that do not exist. Please try again in an hour.")
        case _:
            return _("🤷 There is no such code. Please check how it is written.")
