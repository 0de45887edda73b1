"""Telegram Stars: invoices, pre-checkout answers, refunds, the list of movements.

StarsError
├── NotRefundableError   Telegram knows no such charge of this user
└── StarsNoAnswerError   nothing usable came back; every call here may be made again

A refund that was made before counts as made: repeating it changes nothing.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal

import aiohttp
import msgspec
from aiogram import Bot
from aiogram.exceptions import AiogramError, TelegramBadRequest
from aiogram.methods import TelegramMethod
from aiogram.types import LabeledPrice

from events.errors import NeurocardsError
from services.adapters.telegram.client import in_time, says
from services.platform.ids import OutsideId, Unreadable, told, unreadable

STARS: Final = "XTR"
PAGE: Final = 100
START_PARAMETER: Final = "topup"
TITLE_CHARS_MAX: Final = 32
DESCRIPTION_CHARS_MAX: Final = 255
_Nano = Annotated[int, msgspec.Meta(gt=-(10**9), lt=10**9)]
_REFUSAL_CHARS_MAX: Final = 200
_REASON_CHARS_MAX: Final = 300
_FAILURES: Final = (AiogramError, aiohttp.ClientError)


class StarsError(NeurocardsError):
    """Base of this module's errors."""


class NotRefundableError(StarsError):
    """Telegram refuses for good."""


class StarsNoAnswerError(StarsError):
    """Telegram is out of reach or stumbles: retry later."""


class StarMovement(msgspec.Struct, frozen=True):
    """Stars in (for an invoice) or out (refund); `charge` is the payment's id in both.

    `nano` are billionths of a Star beside the amount; None: not told.
    """

    charge: str
    direction: Literal["in", "out"]
    amount: int
    at_s: int
    user_id: int
    payload: str
    nano: int | None = None


class _User(msgspec.Struct):
    id: int


class _Partner(msgspec.Struct):
    type: str = ""
    user: _User | None = None
    invoice_payload: str = ""


class _Transaction(msgspec.Struct):
    id: OutsideId
    amount: int
    date: int
    nanostar_amount: Any = None
    source: _Partner | None = None
    receiver: _Partner | None = None


class _GetStarTransactions(TelegramMethod[dict[str, Any]]):
    """getStarTransactions with rows unparsed: an unreadable one must not hide the others."""

    __returning__ = dict[str, Any]
    __api_method__ = "getStarTransactions"

    offset: int
    limit: int


async def send_invoice(
    bot: Bot, chat_id: int, title: str, description: str, payload: str, amount: int
) -> None:
    """Send an invoice over `amount` Stars. Raises aiogram's errors. Forwarded copies have a link that starts
    the bot with START_PARAMETER; without one they could be paid."""
    await bot.send_invoice(
        chat_id,
        title=title[:TITLE_CHARS_MAX],
        description=description[:DESCRIPTION_CHARS_MAX],
        payload=payload,
        currency=STARS,
        prices=[LabeledPrice(label=title, amount=amount)],
        start_parameter=START_PARAMETER,
    )


async def answer_pre_checkout(bot: Bot, query_id: str, refusal: str) -> bool:
    """Agree to a payment, or refuse with a sentence for the payer. Whether it was in time."""
    reason = refusal[:_REFUSAL_CHARS_MAX] or None
    return await in_time(bot.answer_pre_checkout_query(query_id, ok=not refusal, error_message=reason))


async def refund(bot: Bot, user_id: int, charge: str) -> None:
    try:
        await bot.refund_star_payment(user_id, charge)
    except TelegramBadRequest as error:
        if says(error, ("charge_already_refunded",)):
            return
        raise NotRefundableError(error.message) from error
    except _FAILURES as error:
        raise StarsNoAnswerError(f"{type(error).__name__}: {error}"[:_REASON_CHARS_MAX]) from error


async def movements(bot: Bot, since_s: float) -> AsyncIterator[StarMovement | Unreadable]:
    """Movements of Stars since a time, oldest first. Raises StarsNoAnswerError. Telegram lists from the very
    first one on, so the page to begin at is found by halving."""
    offset = await _first_page(bot, since_s)
    while page := await _transactions(bot, offset, PAGE):
        for row in page:
            movement = _movement(row)
            if isinstance(movement, Unreadable) or (movement and movement.at_s >= since_s):
                yield movement
        offset += PAGE


async def _first_page(bot: Bot, since_s: float) -> int:
    """Offset of a page at or before the first movement since then."""
    low, high = 0, 1  # in pages; page `low` begins before `since_s`, or is the first
    while await _begins_before(bot, high * PAGE, since_s):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if await _begins_before(bot, middle * PAGE, since_s):
            low = middle
        else:
            high = middle
    return low * PAGE


async def _begins_before(bot: Bot, offset: int, since_s: float) -> bool:
    found = await _transactions(bot, offset, 1)
    at_s = found[0].get("date") if found and isinstance(found[0], dict) else None
    return isinstance(at_s, int) and at_s < since_s


async def _transactions(bot: Bot, offset: int, limit: int) -> list[Any]:
    try:
        listed = (await bot(_GetStarTransactions(offset=offset, limit=limit))).get("transactions")
    except _FAILURES as error:
        raise StarsNoAnswerError(f"{type(error).__name__}: {error}"[:_REASON_CHARS_MAX]) from error
    if not isinstance(listed, list):
        raise StarsNoAnswerError("an answer without a list of transactions")
    return listed


def _movement(row: Any) -> StarMovement | Unreadable | None:
    """A row's movement; None: not a payment of a user's."""
    try:
        read = msgspec.convert(row, _Transaction)
    except msgspec.ValidationError as error:
        return unreadable(row, error)
    partner = read.source or read.receiver
    if partner is None or partner.type != "user" or partner.user is None or not partner.invoice_payload:
        return None
    direction: Literal["in", "out"] = "in" if read.source is not None else "out"
    user, payload, nano = partner.user.id, partner.invoice_payload, told(read.nanostar_amount, _Nano)
    return StarMovement(read.id, direction, read.amount, read.date, user, payload, nano)
