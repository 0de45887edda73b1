"""Random walks through the chat, and who edits the card when."""

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import pytest
from aiogram.exceptions import TelegramBadRequest, TelegramNetworkError
from aiogram.methods import EditMessageCaption, EditMessageMedia
from aiogram.types import InputMediaPhoto, InputMediaVideo, Message, Video
from msgspec.structs import replace

from ledger import commands as c
from ledger.commands import OrderVideos
from ledger.errors import LedgerUnavailableError
from ledger.system.commands import PauseSales, ResumeSales
from services.adapters.telegram import callback_data as b
from services.adapters.telegram.callback_data import CardButton
from services.adapters.telegram.client import edit_caption
from services.bot.handlers.card import show_balance
from services.bot.screens import card
from services.generation.prompts import styles
from services.generation.prompts.styles import load_styles
from tests.support.bot_session import memory_shop
from tests.support.chat_walks import walk_in_memory
from tests.unit.services.bot.handlers.test_all import CREATE, DRAFT
from tests.unit.services.bot.handlers.test_card import CARD, Person

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


async def test_an_owners_example_stands_on_the_card_while_its_style_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    person = Person(memory_shop())
    (tmp_path / "box.mp4").write_bytes(b"mp4")
    shown = replace(load_styles()["unboxing"], example=str(tmp_path / "box.mp4"))
    for module in (card, styles):
        monkeypatch.setattr(module, "load_styles", lambda: {**load_styles(), "unboxing": shown})
    await person.making(style="ugc")
    await person.press("view", "styles")
    assert person.session.of(EditMessageMedia) == []
    video = Video.model_construct(file_id="clip")
    person.session.answers.append(Message.model_construct(message_id=CARD, video=video, photo=None))
    for style, example in (("unboxing", True), ("gift", False), ("unboxing", True)):
        before = len(person.session.calls)
        await person.press("look", style)
        edits = [call for call in person.session.calls[before:] if isinstance(call, EditMessageMedia)]
        assert len(edits) == 1 and isinstance(edits[0].media, InputMediaVideo) == example
        assert load_styles()[style].name["en"] in str(edits[0].media.caption)
    uploads = [edit.media.media for edit in person.session.of(EditMessageMedia)]
    assert (uploads[1], uploads[2]) == (DRAFT.photo_file, "clip"), "uploaded once"
    await person.tap(CREATE)
    placed = person.session.of(EditMessageMedia)[-1]
    assert isinstance(placed.media, InputMediaPhoto), "an order shows the product"
    assert person.orders and not person.draft.example


async def test_an_example_that_telegram_refuses_leaves_the_photo(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    person = Person(memory_shop())
    (tmp_path / "box.jpg").write_bytes(b"no picture")
    shown = replace(load_styles()["unboxing"], example=str(tmp_path / "box.jpg"))
    for module in (card, styles):
        monkeypatch.setattr(module, "load_styles", lambda: {**load_styles(), "unboxing": shown})
    await person.making(style="ugc")
    edit = EditMessageMedia(media=InputMediaPhoto(media="x"))
    person.session.answers.append(TelegramBadRequest(method=edit, message="no image"))
    await person.press("look", "unboxing")
    assert "Unboxing" in person.captions[-1] and person.draft.example == ""


async def test_a_balance_that_changed_is_shown_where_the_card_is_still_the_bots() -> None:
    person = Person(memory_shop())
    await person.making()
    ledger: Any = person.shop.ledger

    async def granted(key: str) -> int:
        """How many edits follow from more credits."""
        before = len(person.session.calls)
        await ledger.execute(c.GrantCredits("a5", 4, "manual", key, actor="login:op"), key=key)
        await show_balance(person.bot, person.shop, 5)
        return len(person.session.calls) - before

    await person.press("view", "")
    balance = (await ledger.read.account("a5")).balance
    assert await granted("shown") == 1
    assert f"balance: {balance + 4} credits" in person.captions[-1] and person.draft.version == 3
    await person.press("view", "product")
    assert await granted("asked") == 1 and "Write another" in person.captions[-1], "what is asked stays"
    await person.press("view", "")
    await ledger.execute(PauseSales("login:op", "x"), key="pause")
    await person.tap(CREATE)
    assert await granted("noted") == 0, "what the card says would be lost"
    await ledger.execute(ResumeSales("login:op", "x"), key="resume")
    await person.press("view", "")
    assert await granted("again") == 1
    await person.shop.drafts.change(replace(person.draft, number=2), 9)
    assert await granted("killed before its edit") == 0, "buttons that the record does not know"
    await person.press("view", "")
    await person.tap(b.Order(draft="d1", version=person.draft.version).pack())
    assert await granted("placed") == 0, "the card is the notifier's"
    person.drafts.clear()
    assert await granted("gone") == 0
