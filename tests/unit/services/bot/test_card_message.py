"""Random walks over the card: taps, texts, photos, edits, restarts, updates that come twice."""

import asyncio
import os
import random
from typing import Any

from aiogram.exceptions import TelegramNetworkError
from aiogram.methods import (
    EditMessageCaption,
    EditMessageMedia,
    EditMessageReplyMarkup,
    EditMessageText,
    SendMessage,
    SendPhoto,
)

from ledger.commands import OrderVideos
from ledger.errors import LedgerUnavailableError
from services.accounts.drafts import Draft
from services.adapters.telegram import callback_data as b
from services.adapters.telegram.callback_data import CardButton
from services.adapters.telegram.client import edit_caption
from services.bot import text_intent
from services.generation.prompts.styles import load_styles
from services.platform.blobs import one_chunk
from tests.support.bot_session import memory_shop
from tests.unit.services.bot.handlers.test_all import DRAFT
from tests.unit.services.bot.handlers.test_card import Person, data_of

SEED = int(os.environ.get("CHAOS_SEED") or 7)
TEXTS = (
    "a red mug", "Кружка", "да", "yes", "Распаковка", "own", "5", "300", "сколько стоит?", "?!", "/cancel",
    "/menu", "/create", "/help", "x" * 2000,
)  # fmt: skip


EDITS = (EditMessageCaption, EditMessageText, EditMessageReplyMarkup, EditMessageMedia)


class Walker(Person):
    """A person who does whatever comes to mind; what hangs in their chat is remembered."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__(memory_shop(free_credits=50))
        self.dice = dice
        self.keys: dict[int, list[str]] = {}
        self.seen: list[tuple[int, str]] = []
        self.last: dict[str, Any] = {}
        self._read = 0

    def look(self) -> None:
        """Take in what the bot has sent and edited."""
        for call, sent in self.session.done[self._read :]:
            if isinstance(call, SendMessage | SendPhoto):
                self.keys[sent.message_id] = data_of(call.reply_markup)  # type: ignore[arg-type]
            elif isinstance(call, EDITS):
                self.keys[int(call.message_id or 0)] = data_of(call.reply_markup)
        self._read = len(self.session.done)
        self.seen += [(message, data) for message, datas in self.keys.items() for data in datas]

    async def feed(self, **event: Any) -> None:
        self.last = event
        await super().feed(**event)

    async def step(self, number: int) -> tuple[str, bool]:
        """Do something; what, and whether it may order what is being made."""
        draft = await self.shop.drafts.open("a5")
        match self.dice.choices(("tap", "text", "photo", "edit", "again", "restart"), (60, 20, 6, 4, 6, 4))[
            0
        ]:
            case "tap" if self.seen:
                message, data = self.dice.choice(self.seen[-12:] if self.dice.random() < 0.8 else self.seen)
                current = draft is not None and data == f"order:{draft.draft}:{draft.version}"
                await self.tap(data, message_id=message)
                return data, current
            case "photo":
                await self.photo(10 + self._update_id, caption=self.dice.choice(("", "a vase")))
            case "edit":
                await self.edit(self.dice.randrange(10, 11 + self._update_id), "other words")
            case "again" if self.last:
                self._update_id -= 1
                self.restart()
                await super().feed(**self.last)  # killed after its last step: the update comes again
                return "again", True
            case "restart":
                self.restart()
            case _:
                text = self.dice.choice(TEXTS)
                agreed = isinstance(text_intent.intent_of(text, load_styles()), text_intent.Agreed)
                await self.say(text)
                return text, agreed
        return "", False


async def walk(seed: int) -> None:
    dice = random.Random(seed)
    walker = Walker(dice)
    await walker.accepted()
    await walker.shop.blobs.put(DRAFT.photo, one_chunk(b"jpg"), size_bytes_max=9)
    await walker.photo(5)
    for number in range(40):
        walker.look()
        before: Draft | None = await walker.shop.drafts.open("a5")
        orders = len(walker.orders)
        if dice.random() < 0.05:
            away = TelegramNetworkError(method=SendMessage(chat_id=5, text=""), message="away")
            walker.session.answers.append(away)
        try:
            did, may_order = await walker.step(number)
        except TelegramNetworkError:
            walker.session.answers.clear()
            walker.restart()
            walker._update_id -= 1
            await Person.feed(walker, **walker.last)  # the inbox does it again
            did, may_order = "again", True
        walker.session.answers.clear()
        walker.look()
        told = f"seed {seed}, step {number}: {did}"
        assert len(walker.orders) <= orders + 1, told
        if len(walker.orders) > orders:
            placed = walker.orders[-1]
            assert before is not None and placed.order == before.draft and (may_order or before.confirmed), (
                told
            )
            assert (placed.style, placed.price, len(placed.jobs)) == (
                before.style,
                before.price,
                before.number,
            )
        for draft in walker.drafts.values():
            keys = walker.keys.get(draft.message_id or 0, [])
            if draft.ordered:
                assert keys == [], f"{told}: buttons of a finished order are alive"
            elif not draft.confirmed and draft.message_id is not None:
                assert any("|cancel|" in key or "|view|" in key for key in keys), f"{told}: no way out"
        now = await walker.shop.drafts.open("a5")
        if before is not None and now is not None and now.draft == before.draft:
            assert now.words.product or not before.words.product, f"{told}: what was typed is lost"
    spent = sum(order.price * len(order.jobs) for order in walker.orders)
    assert (await walker.shop.ledger.read.account("a5")).balance == 50 - spent


async def test_random_walks_leave_nothing_broken_and_charge_only_what_a_card_showed() -> None:
    for number in range(8):
        await walk(SEED * 10_000 + number)


class Interleaved(Person):
    """Calls take their time. `turns`: who edited the card, and when the order was committed."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__(memory_shop())
        self.turns: list[str] = []
        self.dice = dice
        self.committed = asyncio.Event()
        ledger: Any = self.shop.ledger
        execute, request = ledger.execute, self.session.make_request

        async def slowly(bot: Any, method: Any, timeout: int | None = None) -> Any:
            for _turn in range(dice.randrange(4)):
                await asyncio.sleep(0)
            if isinstance(method, EditMessageCaption) and dice.random() < 0.1:
                raise TelegramNetworkError(method=method, message="away")
            answer = await request(bot, method, timeout)
            if isinstance(method, EditMessageCaption):
                self.turns.append("notifier" if str(method.caption).startswith("status") else "bot")
            return answer

        async def commits(command: Any, *, key: str) -> Any:
            if isinstance(command, OrderVideos) and key in ledger.keys:
                return ledger.keys[key]
            for _turn in range(dice.randrange(4)):
                await asyncio.sleep(0)
            receipt = await execute(command, key=key)
            if isinstance(command, OrderVideos):
                self.turns.append("commit")
                self.committed.set()
            for _turn in range(dice.randrange(4)):
                await asyncio.sleep(0)
            if isinstance(command, OrderVideos) and dice.random() < 0.3:
                raise LedgerUnavailableError("the answer is lost")
            return receipt

        self.session.make_request, ledger.execute = slowly, commits  # type: ignore[method-assign]

    async def notify(self) -> None:
        """What the notifier does from the commit on: four states, the last one for good."""
        await self.committed.wait()
        for state in ("queued", "writing", "rendering", "done"):
            while True:
                try:
                    await edit_caption(self.bot, 5, self.draft.message_id or 0, f"status {state}")
                    break
                except TelegramNetworkError:
                    continue
            for _turn in range(self.dice.randrange(6)):
                await asyncio.sleep(0)

    async def insist(self, data: str) -> None:
        """A tap, and again until it was handled, as out of the inbox."""
        self._update_id += 1
        while True:
            self._update_id -= 1
            try:
                await self.tap(data)
                return
            except (TelegramNetworkError, LedgerUnavailableError):
                self.restart()


async def interleave(seed: int) -> None:
    person = Interleaved(random.Random(seed))
    await person.making()
    notifying = asyncio.create_task(person.notify())
    for style in person.dice.sample(("gift", "macro", "unboxing"), 2):
        version = person.draft.version
        await person.insist(CardButton(do="style", value=style, draft="d1", version=version).pack())
    create = b.Order(draft="d1", version=person.draft.version).pack()
    for _tap in range(3):
        await person.insist(create)
    await notifying
    before, _, after = " ".join(person.turns).partition("commit")
    assert person.turns.count("commit") == 1 and len(person.orders) == 1, seed
    assert set(before.split()) == {"bot"} and after.split() == ["notifier"] * 4, f"{seed}: {person.turns}"
    assert person.captions[-1] == "status done"


async def test_until_the_commit_only_the_bot_edits_the_card_and_then_only_the_notifier() -> None:
    """Taps, commit and notifier in turns of chance, with edits that fail and answers that are lost."""
    for seed in range(40):
        await interleave(seed)
