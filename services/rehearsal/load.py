"""Sellers who come one after another, order one video each, and wait for it.

A person whose way broke off begins anew.
"""

from __future__ import annotations

import asyncio
import random
import time

import httpx
import msgspec

from services.rehearsal.chat_client import Chat, ChatError, buttons_of
from services.rehearsal.seller import AGAIN, Product, Seller, is_video, photo_of

TRIES_MAX = 4
_FIRST_USER_ID, _LAST_USER_ID = 10**9, 2 * 10**9


class Sale(msgspec.Struct):
    """One seller's way from /start to the final message. Times are of the monotonic clock, in seconds."""

    user_id: int
    began_at: float
    ended_at: float | None = None
    ordered: bool = False
    video: bool = False
    tries: int = 0
    problem: str = ""

    @property
    def seconds(self) -> float:
        return (self.ended_at or time.monotonic()) - self.began_at


class Load:
    """`arrive` brings a seller every so many seconds until it is cancelled; `end` sends all away."""

    def __init__(self, http: httpx.AsyncClient, sandbox_url: str, every_s: float, answer_s: float) -> None:
        self.sales: list[Sale] = []
        self._http = http
        self._sandbox_url = sandbox_url
        self._every_s = every_s
        self._answer_s = answer_s
        self._first = random.randrange(_FIRST_USER_ID, _LAST_USER_ID)
        self._sellers: dict[int, Seller] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._photo = photo_of((200, 40, 40), (30, 60, 190))

    async def arrive(self) -> None:
        while True:
            sale = Sale(self._first + len(self.sales), time.monotonic())
            self._sellers[sale.user_id] = Seller(Chat(self._http, self._sandbox_url, sale.user_id))
            self.sales.append(sale)
            self._tasks[sale.user_id] = asyncio.create_task(self._sell(sale), name=f"sale {sale.user_id}")
            await asyncio.sleep(self._every_s)

    def waiting(self) -> list[Sale]:
        return [sale for sale in self.sales if sale.ended_at is None]

    def ended(self, since: float = 0) -> list[Sale]:
        return [sale for sale in self.sales if sale.ended_at is not None and sale.began_at >= since]

    async def until_ended(self, count: int, since: float = 0) -> None:
        """Until so many of those who came since then have been served."""
        while len(self.ended(since)) < count:
            await asyncio.sleep(0.05)

    async def all_served(self) -> None:
        await asyncio.gather(*self._tasks.values())

    async def begin_anew(self, sale: Sale) -> None:
        """A seller whose order is not known any more does not wait for it: they order again."""
        task = self._tasks[sale.user_id]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        sale.tries, sale.ordered = 0, False
        self._tasks[sale.user_id] = asyncio.create_task(self._sell(sale), name=f"sale {sale.user_id}")

    async def end(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def finals(self, sale: Sale) -> int:
        """How many final messages the seller has."""
        chat = self._sellers[sale.user_id].chat
        await chat.look()
        buttons = (buttons_of(message) for message in chat.from_bot())
        return sum(any(button.data.startswith(AGAIN) for button in its) for its in buttons)

    async def _sell(self, sale: Sale) -> None:
        """Once round; what goes wrong for good is the sale's problem, not an exception.

        Who has ordered and hears nothing within what is promised does not try again: a promise was broken.
        """
        while sale.tries < TRIES_MAX and not sale.ordered:
            sale.tries += 1
            try:
                await self._once(sale, self._sellers[sale.user_id])
                sale.problem = ""
                break
            except ChatError as error:
                sale.problem = str(error)
        sale.ended_at = time.monotonic()

    async def _once(self, sale: Sale, seller: Seller) -> None:
        await seller.begin()
        confirm = await seller.draft(Product(f"Tea cup {sale.user_id}D", self._photo))
        order = await seller.order(confirm)
        sale.ordered = True
        [final, *_] = await seller.results(order, 1, self._answer_s)
        sale.video = is_video(final)
