"""Simulated sellers who order videos through the chat and retry; one or many."""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from services.rehearsal.chat_client import Button, Chat, ChatError, Message, Sandbox, buttons_of

STEP_TIMEOUT_S = 12.0
TRIES_MAX = 4
_FIRST_USER_ID, _LAST_USER_ID = 10**9, 2 * 10**9

# What the buttons carry, as a client sees it. Not taken from services.adapters.telegram.callback_data: that
# is the bot's side, and loading it takes seconds.
ACCEPT_TERMS = "terms:"
CREATE = "menu:create"
CABINET = "menu:cabinet"
STYLES = "card|view|styles|"
STYLE = "card|style|"
WISHES = "card|view|wishes|"
NUMBERS = "card|view|numbers|"
NUMBER = "card|number|"
DROP = "card|cancel|"
ORDER = "order:"
AGAIN = "again:"
REPAIR = "repair:"
T = TypeVar("T")
_NUMBER = re.compile(r"-?\d+")


class Product(msgspec.Struct, frozen=True):
    """A product to advertise. `name` is unique, so that faults and prompts can be told by it."""

    name: str
    photo: bytes


class Seller:
    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self._mark = 0
        """What had been seen before the seller's last act; the bot's answer comes after it."""

    async def begin(self) -> None:
        await _persist(self._begin)

    async def draft(
        self, product: Product, *, style: str = "ugc", videos: int = 1, wishes: str = ""
    ) -> Button:
        # The place in the flow may be lost on the way; a person begins anew.
        return await _persist(lambda: self._steps(product, style, videos, wishes))

    async def order(self, confirm: Button, *, taps: int = 1) -> str:
        """Tap the order button `taps` times at once: still one order, whose id is returned."""

        async def tapped() -> None:
            await asyncio.gather(*(self.chat.tap(confirm) for _ in range(taps)))
            await self.chat.until(lambda chat: _is_gone(chat, confirm), STEP_TIMEOUT_S, "the order's status")

        await _persist(tapped)
        return confirm.data.split(":")[1]

    async def results(self, order: str, videos: int, timeout_s: float) -> list[Message]:
        """The order's final messages, once there are as many as videos."""

        def ends(chat: Chat) -> list[Message]:
            return finals(chat.from_bot(), order)

        def missing(chat: Chat) -> str:
            return f"{videos} final messages of order {order}, there are {len(ends(chat))}"

        await self.chat.look()
        await self.chat.until(lambda chat: len(ends(chat)) >= videos, timeout_s, missing)
        return ends(self.chat)

    async def balance(self) -> int:
        async def shown() -> int:
            await self._press(CABINET, fresh=False)
            return int(await self.chat.until(self._shown_balance, STEP_TIMEOUT_S, "the cabinet's balance"))

        return await _persist(shown)

    async def _begin(self) -> None:
        try:
            await self._say("/start")
            if (shown := await self._see(ACCEPT_TERMS, CREATE)).data.startswith(ACCEPT_TERMS):
                self._mark = self.chat.seen
                await self.chat.tap(shown)
                await self._see(CREATE)
        except ChatError:
            if not self.chat.button(CREATE):  # the answer to an earlier try
                raise

    async def _steps(self, product: Product, style: str, videos: int, wishes: str) -> Button:
        await self._press(CREATE, fresh=False)
        await self._answer("the question for a photo")
        if self.chat.button(DROP, since=self._mark):  # what was lost sight of stands in the way
            await self._press(DROP)
        self._mark = self.chat.seen
        await self.chat.send_photo(product.photo)
        await self._answer("the order card")
        await self._say(product.name)
        await self._press(STYLES)
        await self._press(f"{STYLE}{style}|")
        if wishes:
            await self._press(WISHES)
            await self._answer("the question about wishes")
            await self._say(wishes)
        if videos != 1:
            await self._press(NUMBERS)
            await self._press(f"{NUMBER}{videos}|")
        return await self._see(ORDER)

    async def _say(self, text: str) -> None:
        self._mark = self.chat.seen
        await self.chat.say(text)

    async def _press(self, prefix: str, *, fresh: bool = True) -> None:
        """Tap the newest such button; `fresh`: one of the bot's answer to the last act."""
        button = await self._see(prefix, fresh=fresh)
        self._mark = self.chat.seen
        await self.chat.tap(button)

    async def _see(self, *prefixes: str, fresh: bool = True) -> Button:
        since = self._mark if fresh else 0

        def found(chat: Chat) -> Button | None:
            return next(filter(None, (chat.button(prefix, since=since) for prefix in prefixes)), None)

        button: Button = await self.chat.until(found, STEP_TIMEOUT_S, f"a button {' or '.join(prefixes)}")
        return button

    async def _answer(self, what: str) -> None:
        await self.chat.until(lambda chat: chat.news(self._mark), STEP_TIMEOUT_S, what)

    def _shown_balance(self, chat: Chat) -> str | None:
        """The number after the word, as text: 0 is a balance too."""
        for message in reversed(chat.news(self._mark)):
            _, found, words = (message.get("text") or "").lower().partition("balance")
            if found and (number := _NUMBER.search(words)):
                return number[0]
        return None


class Sale(msgspec.Struct):
    """One seller's way from /start to the final message. Times are monotonic seconds."""

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
    """Sellers who come one after another and order one video each; a broken way begins anew."""

    def __init__(self, sandbox: Sandbox, every_s: float, answer_s: float) -> None:
        self.sales: list[Sale] = []
        self._sandbox = sandbox
        self._every_s = every_s
        self._answer_s = answer_s
        self._first = random.randrange(_FIRST_USER_ID, _LAST_USER_ID)
        self._sellers: dict[int, Seller] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._photo = photo_of((200, 40, 40), (30, 60, 190))

    async def arrive(self) -> None:
        while True:
            sale = Sale(self._first + len(self.sales), time.monotonic())
            self._sellers[sale.user_id] = Seller(self._sandbox.chat(sale.user_id))
            self.sales.append(sale)
            self._begin(sale)
            await asyncio.sleep(self._every_s)

    def ended(self, since: float = 0) -> list[Sale]:
        return [sale for sale in self.sales if sale.ended_at is not None and sale.began_at >= since]

    async def until_ended(self, count: int, since: float = 0) -> None:
        while len(self.ended(since)) < count:
            await asyncio.sleep(0.05)

    async def all_served(self) -> None:
        await asyncio.gather(*self._tasks.values())

    async def begin_anew(self, sale: Sale) -> None:
        task = self._tasks[sale.user_id]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        sale.tries, sale.ordered = 0, False
        self._begin(sale)

    async def end(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _begin(self, sale: Sale) -> None:
        self._tasks[sale.user_id] = asyncio.create_task(self._sell(sale), name=f"sale {sale.user_id}")

    async def _sell(self, sale: Sale) -> None:
        """Sell once; what goes wrong for good is the sale's problem, not an exception.

        No retry for who has ordered and hears nothing within what is promised: a promise was broken.
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


async def _persist(act: Callable[[], Awaitable[T]]) -> T:
    """Retry a few times when the chat does not answer. Raises ChatError."""
    for _ in range(TRIES_MAX - 1):
        with contextlib.suppress(ChatError):
            return await act()
    return await act()


def finals(messages: Sequence[Message], order: str, card: int | None = None) -> list[Message]:
    """Final messages of the order's jobs: a video or its link in reply to the card, or a reason to repair.

    Without `card` that is the one which offers `again`, as it does when the order is over.
    """
    named = f"{AGAIN}{order}:", f"{REPAIR}{order}:"
    again = [m for m in messages if any(b.data.startswith(named) for b in buttons_of(m))]
    if card is None:
        card = next((m["message_id"] for m in again if "photo" in m), None)
    shown = [m for m in messages if is_video(m) or m.get("text", "").startswith(("🎬", "🎁"))]
    shown = [m for m in shown if m.get("reply_to_message", {}).get("message_id") == card]
    ends = {m["message_id"]: m for m in (*shown, *again) if m["message_id"] != card}
    return [ends[number] for number in sorted(ends)]


def is_video(message: Message) -> bool:
    return "video" in message or "animation" in message


def _is_gone(chat: Chat, button: Button) -> bool:
    """Whether this message has lost the button. Another may have it: one order can have two screens."""
    return not any(button == other for message in chat.from_bot() for other in buttons_of(message))


def photo_of(color: tuple[int, int, int], accent: tuple[int, int, int]) -> bytes:
    """A product's picture, as JPEG: a body of one colour with a label of another."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (720, 1080), (236, 232, 224))
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((160, 220, 560, 920), radius=60, fill=color)
    draw.rectangle((220, 480, 500, 700), fill=accent)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
