"""Before the routers: a button that is tapped five times is tapped once."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiogram import BaseMiddleware
from aiogram.types import CallbackQuery, TelegramObject

from services.adapters.telegram import answer_tap
from services.shared.buttons import CheckPayment, ChooseCount, Order

SAME_TAP_S: Final = 3.0
EVERY_TAP: Final = (Order.__prefix__, CheckPayment.__prefix__, ChooseCount.__prefix__)
"""Each tap of these is answered in words, and opens no second screen."""
_KEPT: Final = 10_000


class RepeatedTaps(BaseMiddleware):
    """Only stops the spinner of a tap that repeats the last one, with nothing else said in between.

    One process has the chat's turn, so its memory is enough.
    """

    def __init__(self) -> None:
        self._last: OrderedDict[int, tuple[int, str | None, float]] = OrderedDict()

    async def __call__(
        self, handler: Callable[..., Awaitable[Any]], event: TelegramObject, data: dict[str, Any]
    ) -> None:
        user_id = getattr(data.get("event_from_user"), "id", 0)
        *last, until = self._last.pop(user_id, (0, None, 0.0))
        if not isinstance(event, CallbackQuery):
            await handler(event, data)
            return
        tap = (event.message.message_id if event.message else 0, event.data or "")
        if [*tap] == last and time.monotonic() < until and tap[1].split(":")[0] not in EVERY_TAP:
            await answer_tap(data["bot"], event.id)
        else:
            await handler(event, data)
        self._last[user_id] = (*tap, time.monotonic() + SAME_TAP_S)
        if len(self._last) > _KEPT:
            self._last.popitem(last=False)
