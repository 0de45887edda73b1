"""Promo codes, invitations, and deep links to either or to a style.

    t.me/<bot>?start=promo_SPRING25    redeems the code
    t.me/<bot>?start=style_unboxing    the next order has this style, or the one in the making
    t.me/<bot>?start=ref_<code>        an invitation

What a link is for is kept until the terms are accepted, and done after them. An inviter is named by a
random code of theirs, which goes when they are erased. The invitation is recorded when its link is
followed, by opening the account with it: an account that is open already stays as it is.
"""

import re
from contextlib import suppress
from typing import Final, Literal

from aiogram import Bot, F, Router
from aiogram.dispatcher.event.bases import SkipHandler
from aiogram.filters import Command, CommandObject, CommandStart
from aiogram.types import Message, TelegramObject
from aiogram.utils.i18n import gettext as _
from msgspec.structs import replace

from ledger import commands as c
from ledger.errors import (
    AccountErasedError,
    AccountNotOpenError,
    AlreadyRedeemedError,
    KeyReusedError,
    PromoExhaustedError,
    PromoNotFoundError,
)
from ledger.promotions.commands import RedeemPromo, key_of
from ledger.promotions.promo_codes import is_code, normalised, reference
from services.accounts.personal_data import forgotten_names
from services.adapters.telegram.client import start_link
from services.adapters.telegram.order_labels import credits_text, style_name
from services.adapters.telegram.stars import START_PARAMETER
from services.bot.card_message import show
from services.bot.chat_state import Awaiting
from services.bot.context import BotContext, Person
from services.bot.handlers import order
from services.bot.inputs import quote
from services.bot.replies import Conversation
from services.bot.screens import card
from services.bot.screens.labels import style_mark
from services.bot.screens.menu import Screen, cabinet_button, create_button, home_button, keyboard
from services.generation.prompts.styles import load_styles
from services.platform.ids import CODE_PATTERN

router = Router(name="promotions")

WRONG_CODES_MAX: Final = 10
"""In an hour, per account."""

PROMO: Final = "promo_"
STYLE: Final = "style_"
_INVITE: Final = "ref_"
_INVITER: Final = re.compile(rf"{_INVITE}({CODE_PATTERN})")

Answer = Literal["given", "used before", "unknown", "disabled", "ended", "used up", "too many"]


async def redeem(shop: BotContext, person: Person, text: str) -> tuple[Answer, int]:
    """Redeem a promo code; the answer, and the credits it gave. One person's messages are handled one after
    another, so nobody is faster than the count of their tries."""
    code = normalised(text)
    if reference(code) in (await shop.account(person)).promos:
        return "used before", 0
    if await shop.people.wrong_codes(person.account) >= WRONG_CODES_MAX:
        return "too many", 0
    answer: Answer = "unknown"
    before = forgotten_names(shop.settings, person.chat_id, reference(code))
    if is_code(code) and await shop.people.remembered(before) is not None:
        return "used before", 0  # by an account of theirs that was erased
    if is_code(code):
        command = RedeemPromo(code, person.account)
        try:
            await shop.ledger.execute(command, key=key_of(command))
            created = (await shop.ledger.read.promo(code)).created
            return "given", 0 if created is None else created.amount
        except AlreadyRedeemedError:
            return "used before", 0
        except PromoExhaustedError as error:
            answer = error.why
        except PromoNotFoundError:
            pass
    await shop.people.note_wrong_code(person.account)
    return answer, 0


async def link(bot: Bot, shop: BotContext, person: Person) -> str:
    return start_link((await bot.me()).username, _INVITE + await shop.people.invite_code(person.account))


async def remember_inviter(shop: BotContext, person: Person, payload: str) -> None:
    """Open the account as invited, if the link says so. Not for a person who was erased and came back, an
    open account, an inviter who is not there, or oneself."""
    found = _INVITER.fullmatch(payload)
    if found is None or not shop.invites:
        return
    inviter = await shop.people.inviter(found[1])
    if inviter is None or inviter == person.account:
        return
    if await shop.people.remembered(forgotten_names(shop.settings, person.chat_id)) is not None:
        return
    command = c.OpenAccount(person.account, person.commitment, "referral", inviter)
    with suppress(AccountNotOpenError, AccountErasedError, KeyReusedError):
        await shop.ledger.execute(command, key=f"invited:{person.account}")


def may_be_code(text: str) -> bool:
    """Whether a text can be the promo code that is waited for."""
    return is_code(normalised(text)) and len(text.split()) == 1


async def begin_with(chat: Conversation, payload: str) -> bool:
    """Do what a link is for; False when there is nothing to do or say."""
    if payload.startswith(PROMO):
        await enter_code(chat, payload.removeprefix(PROMO))
    elif payload.startswith(STYLE):
        await _choose_style(chat, payload.removeprefix(STYLE))
    elif payload in ("", START_PARAMETER) or payload.startswith(_INVITE):
        return False
    else:
        text = _("🤷 I do not know this link: perhaps a part of it is missing. Please choose from the menu.")
        await chat.send_aside(Screen(text, keyboard([create_button()], [home_button()])))
    return True


async def _choose_style(chat: Conversation, style: str) -> None:
    """For the order in the making, or kept for the next one."""
    if style not in load_styles():
        text = _("🎨 This style is no longer on offer. Begin with a photo and choose another one.")
        await chat.send_aside(Screen(text, keyboard([create_button()], [home_button()])))
        return
    if draft := await order.on_card(chat):
        if draft.style != style:
            await order.change(chat, replace(draft, style=style, view=""))
        await chat.lead_back()
        return
    flow = await chat.load_data()
    await chat.save_data(replace(flow, style=style))
    if not flow.early:
        text = _(
            "{mark} Style: <b>{style}</b>. Now send a photo of the product, best with a few words about it."
        )
        await chat.send_screen(Screen(text.format(mark=style_mark(style), style=quote(style_name(style)))))


@router.message(Awaiting.promo, Command("cancel"))
async def no_code(message: Message, chat: Conversation) -> None:
    await chat.state.set_state(None)
    await chat.send_aside(Screen(_("👌 Then without a code."), keyboard([home_button()])))


@router.message(Awaiting.promo, F.text.func(may_be_code))
async def code_written(message: Message, chat: Conversation) -> None:
    if await enter_code(chat, message.text or "") != "unknown":
        flow = await chat.load_data()
        await chat.save_data(replace(flow, taken_message=message.message_id))
        await chat.state.set_state(None)


@router.message(Awaiting.promo)
@router.callback_query(Awaiting.promo)
async def something_else(event: TelegramObject, chat: Conversation) -> None:
    """Wait no longer for a code: what came means what it always means."""
    await chat.state.set_state(None)
    raise SkipHandler


@router.message(Command("promo"))
async def promo(message: Message, command: CommandObject, chat: Conversation) -> None:
    if code := (command.args or "").strip():
        await enter_code(chat, code)
        return
    if await chat.state.get_state() == Awaiting.contact.state:  # the next text is the receipt's address
        await chat.send_aside(Screen(_("🎟 A promo code? Send /promo and the code.")))
        return
    await chat.send_screen(Screen(_("🎟 Please write the promo code here."), keyboard([home_button()])))
    await chat.state.set_state(Awaiting.promo)


@router.message(CommandStart(deep_link=True))
async def follow(message: Message, command: CommandObject, chat: Conversation) -> None:
    if not await begin_with(chat, command.args or ""):
        raise SkipHandler


async def enter_code(chat: Conversation, code: str) -> Answer:
    """Redeem a code and say what came of it; an order that its credits are enough for can go on at once."""
    answer, credits = await redeem(chat.shop, chat.person, code)
    if answer != "given":
        await chat.send_aside(Screen(_refusal(answer), keyboard([home_button()])))
        return answer
    balance, draft = await chat.balance(), await order.open_draft(chat)
    said = _("🎉 The code works: <b>+{credits}</b>. Your balance: {balance}.").format(
        credits=credits_text(credits), balance=credits_text(balance)
    )
    if draft is not None:
        draft = await show(chat, draft)  # with the new balance
    if draft is None or card.missing(draft) is not None or balance < draft.price * draft.number:
        await chat.send_aside(Screen(said, keyboard([create_button()], [cabinet_button()])))
    else:
        await chat.send_screen(Screen(said, keyboard([card.create(draft)], [cabinet_button()])))
    return answer


def _refusal(answer: Answer) -> str:
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
            return _("🤷 There is no such code. Please check how it is written, and write it once more.")
