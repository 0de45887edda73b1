"""A seller who wants a video: goes through the chat step by step, and comes back when something broke."""

from __future__ import annotations

import asyncio
import io
import re

import msgspec

from services.cli.demo.chat import Button, Chat, ChatError, Message, buttons_of
from services.shared.buttons import (
    AcceptTerms,
    Again,
    ChooseCount,
    ChooseStyle,
    Menu,
    MenuAction,
    Order,
    SkipWishes,
)

STEP_TIMEOUT_S = 12.0
_TRIES = 4
_NUMBER = re.compile(r"-?\d+")


class Product(msgspec.Struct, frozen=True):
    """What is to be advertised. `name` is unique, so that faults and prompts can be told by it."""

    name: str
    photo: bytes


class Seller:
    """One person and their orders."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat

    async def begin(self) -> None:
        """Start the bot and accept its terms."""
        for attempt in range(_TRIES):
            await self.chat.say("/start")
            try:
                await self._press(AcceptTerms.__prefix__ + ":", fresh=attempt > 0)
                await self._see(_menu(MenuAction.CREATE), "the menu")
            except ChatError:
                if self._button(_menu(MenuAction.CREATE)):
                    return
                if attempt == _TRIES - 1:
                    raise
            else:
                return

    async def draft(self, product: Product, *, style: str = "ugc", videos: int = 1) -> Button:
        """Through all steps up to the confirm screen; its order button."""
        for attempt in range(_TRIES):
            try:
                return await self._steps(product, style, videos)
            except ChatError:  # the flow was lost on the way; a person begins anew
                if attempt == _TRIES - 1:
                    raise
                await self.chat.say("/start")
        raise AssertionError("unreachable")

    async def order(self, confirm: Button, *, taps: int = 1) -> str:
        """Tap the order button, at the same time as often as told; the order's id.

        A person who sees nothing happen taps again: that asks for the same order.
        """
        order = Order.unpack(confirm.data).draft
        for attempt in range(_TRIES):
            await asyncio.gather(*(self.chat.tap(confirm) for _ in range(taps)))
            try:
                await self.chat.until(
                    lambda chat: self._is_ordered(chat, confirm), STEP_TIMEOUT_S, "the order's status"
                )
            except ChatError:
                if attempt == _TRIES - 1:
                    raise
            else:
                break
        return order

    async def results(self, order: str, videos: int, timeout_s: float) -> list[Message]:
        """The final messages of all jobs of the order."""

        def all_there(chat: Chat) -> bool:
            return len(finals(chat, order)) >= videos

        await self.chat.until(all_there, timeout_s, lambda chat: self._missing(chat, order, videos))
        return finals(self.chat, order)

    async def balance(self) -> int:
        """Credits as the cabinet shows them."""
        for attempt in range(_TRIES):
            try:
                await self._press(_menu(MenuAction.CABINET), fresh=False)
                shown = await self.chat.until(
                    lambda chat: _shown_balance(chat.from_bot()[-1]), STEP_TIMEOUT_S, "the cabinet's balance"
                )
            except ChatError:
                if attempt == _TRIES - 1:
                    raise
                await self.chat.say("/start")
            else:
                return int(shown)
        raise AssertionError("unreachable")

    async def _steps(self, product: Product, style: str, videos: int) -> Button:
        await self._press(_menu(MenuAction.CREATE), fresh=False)
        await self._answered("a word about the photo")
        mark = self.chat.seen
        await self.chat.send_photo(product.photo)
        await self._answered("the question about the product", mark)
        await self.chat.say(product.name)
        await self._press(ChooseStyle(style=style).pack())
        await self._press(SkipWishes.__prefix__)
        await self._press(ChooseCount(count=videos).pack())
        return await self._see(Order.__prefix__ + ":", "the confirm screen")

    async def _press(self, prefix: str, *, fresh: bool = True) -> None:
        """Tap the newest such button; `fresh`: only one that has appeared since the last step."""
        button = await self._see(prefix, f"a button {prefix}", 0 if not fresh else None)
        self._mark = self.chat.seen
        await self.chat.tap(button)

    _mark = 0

    async def _answered(self, what: str, mark: int | None = None) -> None:
        """Until the bot says something new."""
        since = self._mark if mark is None else mark
        await self.chat.until(lambda chat: chat.news(since), STEP_TIMEOUT_S, what)
        self._mark = since

    async def _see(self, prefix: str, what: str, mark: int | None = None) -> Button:
        since = self._mark if mark is None else mark
        button: Button = await self.chat.until(
            lambda chat: chat.button(prefix, since=since), STEP_TIMEOUT_S, what
        )
        return button

    def _button(self, prefix: str) -> Button | None:
        return self.chat.button(prefix)

    def _is_ordered(self, chat: Chat, confirm: Button) -> bool:
        """The confirm screen has become the order's status: its button is gone."""
        return confirm.data not in [button.data for m in chat.from_bot() for button in buttons_of(m)]

    def _missing(self, chat: Chat, order: str, videos: int) -> str:
        return f"{videos} final messages of order {order}, there are {len(finals(chat, order))}"


def finals(chat: Chat, order: str) -> list[Message]:
    """The messages that end the order's jobs: a video or why there is none, each with `again`."""
    again = Again(draft=order).pack()
    return [
        message for message in chat.from_bot() if any(button.data == again for button in buttons_of(message))
    ]


def is_video(message: Message) -> bool:
    return "video" in message or "animation" in message


def _menu(action: MenuAction) -> str:
    return Menu(action=action).pack()


def _shown_balance(message: Message) -> str | None:
    """The first number of a message about the balance, as text since 0 is a balance too."""
    words = (message.get("text") or "").lower()
    if "balance" not in words:
        return None
    found = _NUMBER.search(words[words.index("balance") :])
    return None if found is None else found[0]


def photo_of(color: tuple[int, int, int], accent: tuple[int, int, int]) -> bytes:
    """A picture of a product: a body of one colour with a label of another, as JPEG."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (720, 1080), (236, 232, 224))
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((160, 220, 560, 920), radius=60, fill=color)
    draw.rectangle((220, 480, 500, 700), fill=accent)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
