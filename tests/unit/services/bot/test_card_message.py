"""Random walks through the chat, and who edits the card when."""

import asyncio
import os
import random
from typing import Any

from aiogram.exceptions import TelegramNetworkError
from aiogram.methods import EditMessageCaption

from ledger.commands import OrderVideos
from ledger.errors import LedgerUnavailableError
from services.adapters.telegram import callback_data as b
from services.adapters.telegram.callback_data import CardButton
from services.adapters.telegram.client import edit_caption
from tests.support.bot_session import memory_shop
from tests.support.chat_walks import walk_in_memory
from tests.unit.services.bot.handlers.test_card import Person

SEED = int(os.environ.get("CHAOS_SEED") or 7)


async def test_random_walks_leave_nothing_broken_and_charge_only_what_a_card_showed() -> None:
    for number in range(6):
        await walk_in_memory(SEED * 10_000 + number)


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
