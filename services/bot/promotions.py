"""Promo codes and referral links in the chat; limit on wrong codes.

An inviter is named in a link by the account's id: random, without rights, and nothing in it leads to a
Telegram id. The invitation is recorded when its link is followed, by opening the account with it: an account
that is open already stays as it is.
"""

import re
from contextlib import suppress
from typing import Final, Literal

from aiogram import Bot

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
from services.bot.context import BotContext, Person
from services.platform.ids import ID_PATTERN

WRONG_CODES_MAX: Final = 10
"""In an hour, per account."""

_PREFIX: Final = "ref_"
_INVITER: Final = re.compile(rf"{_PREFIX}({ID_PATTERN})")

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


def invites(shop: BotContext) -> bool:
    return bool(shop.settings.referral_credits or shop.settings.referred_credits)


async def link(bot: Bot, person: Person) -> str:
    return f"https://t.me/{(await bot.me()).username}?start={_PREFIX}{person.account}"


async def remember_inviter(shop: BotContext, person: Person, payload: str) -> None:
    """Open the account as invited, if the link says so. Not for a person who was erased and came back, an
    open account, an inviter who is not there, or oneself."""
    found = _INVITER.fullmatch(payload)
    if found is None or found[1] == person.account or not invites(shop):
        return
    if await shop.people.remembered(forgotten_names(shop.settings, person.chat_id)) is not None:
        return
    command = c.OpenAccount(person.account, person.commitment, "referral", found[1])
    with suppress(AccountNotOpenError, AccountErasedError, KeyReusedError):
        await shop.ledger.execute(command, key=f"invited:{person.account}")
