"""Where somebody walks: a shop in memory or on a database, with an inbox and a way to erase a person."""

import dataclasses
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import msgspec
from aiogram.fsm.storage.base import BaseStorage
from aiogram.fsm.storage.memory import MemoryStorage

from events.job import Video
from ledger import commands as c
from ledger.errors import LedgerUnavailableError
from ledger.payments.commands import SettlePayment
from services.accounts.drafts import Drafts
from services.accounts.erase import Forgetting
from services.accounts.personal_data import PersonalData
from services.bot.chat_state import PostgresStorage
from services.bot.context import BotContext
from services.bot.moderation import Moderation, Verdicts
from services.bot.order_history import History
from services.payments.orders import PaymentOrders
from services.payments.stars import StarsPayments
from services.platform.settings import Settings
from tests.support.bot_session import MemoryJudge, MemoryPeople, memory_shop, recorded_bot
from tests.unit.services.bot.handlers.test_all import CHAT

ME, OTHER = 5, 6
OPERATOR: Final = "login:neurocards_operator"
TEXTS: Final = (
    "a red mug", "Кружка", "a bowl", "да", "yes", "Распаковка", "gift", "own", "5", "300",
    "сколько стоит?", "?!", "WALK", "GIFT", "NONE", "anna@example.com", "+7 900 123-45-67", "где моё видео?",
    "how long?", "<b>&", "😀",
    "\u202e", "x" * 2000, "x" * 4090, "0", "1e9", "/grant 5 3 because", "/grant 6 3 because", "/pause tests",
    "/resume tests", "/sales", "/user 5", "/refund_job x y", "/unknown", "/", "/promo", "/promo WALK",
    "/promo NONE", "/start",
    *(f"/start {link}" for link in ("style_gift", "style_none", "promo_GIFT", "promo_", "ref_", "z" * 64)),
)  # fmt: skip
OTHER_CONTENT: Final[tuple[dict[str, Any], ...]] = (
    {"sticker": {"file_id": "s", "file_unique_id": "s", "type": "regular", "width": 1, "height": 1,
                 "is_animated": False, "is_video": False}},
    {"voice": {"file_id": "v", "file_unique_id": "v", "duration": 1}},
    {"video": {"file_id": "v", "file_unique_id": "v", "width": 1, "height": 1, "duration": 1},
     "caption": "a vase"},
    {"document": {"file_id": "d", "file_unique_id": "d", "file_name": "a.pdf"}},
    {"location": {"latitude": 1, "longitude": 1}},
    {"pinned_message": {"message_id": 3, "date": 0, "chat": CHAT}},
)  # fmt: skip
"""What may be written or sent."""


class CountedLedger:
    """A ledger that remembers what was done, and loses an answer now and then."""

    def __init__(self, inner: Any, dice: random.Random) -> None:
        self._inner, self._dice = inner, dice
        self.read = inner.read
        self.done: dict[str, Any] = {}
        self.erased: set[str] = set()
        self.loses = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def execute(self, command: Any, *, key: str) -> Any:
        receipt = await self._inner.execute(command, key=key)
        if key not in self.done:
            self.done[key] = command
            named = "" if isinstance(command, SettlePayment) else getattr(command, "account", "")
            assert named not in self.erased, f"{command} about somebody who was erased"
        if self._dice.random() < self.loses:
            raise LedgerUnavailableError("the answer is lost")
        return receipt

    @property
    def orders(self) -> list[c.OrderVideos]:
        return [command for command in self.done.values() if isinstance(command, c.OrderVideos)]


class Asked(msgspec.Struct):
    """Forgetting without a database: as `erase` does it."""

    erase: Callable[[str], Awaitable[None]]

    async def forget(self, account: str, **why: str) -> None:
        await self.erase(account)


class World(msgspec.Struct):
    """Where a walker walks. `erase` takes an account; `store` and `forget` are the inbox's."""

    shop: BotContext
    storage: BaseStorage
    erase: Callable[[str], Awaitable[None]]
    store: Callable[[int], Awaitable[None]]
    handled: Callable[[int], Awaitable[None]]


def memory_world(dice: random.Random) -> World:
    admin, receipts = dice.choice(("", "5")), dice.random() < 0.5
    shop, storage = memory_shop(free_credits=5, admin_ids=admin, yookassa_receipts=receipts), MemoryStorage()
    people: Any = shop.people
    people.updates = set()
    drafts: Any = shop.drafts
    ledger: Any = shop.ledger

    async def erase(account: str) -> None:
        assert isinstance(people, MemoryPeople)
        (telegram_id,) = (person.telegram_id for person in [await people.find(account)] if person)
        if (await ledger.read.account(account)).opened:
            await ledger.execute(c.ForgetAccount(account, "asked", OPERATOR), key=f"forget:{account}")
        people.erase(telegram_id)
        for draft in [d for d in drafts.kept.values() if d.account == account]:
            del drafts.kept[draft.draft]
        for key in [key for key in storage.storage if key.user_id == telegram_id]:
            del storage.storage[key]

    async def store(update_id: int) -> None:
        people.updates.add(update_id)

    async def handled(update_id: int) -> None:
        people.updates.discard(update_id)

    shop = dataclasses.replace(shop, forgetting=cast(Any, Asked(erase)))
    return World(shop, storage, erase, store, handled)


def postgres_world(settings: Settings, pool: Any, ledger: Any, blobs: Any) -> World:
    """The same on a database, where more can go wrong."""
    people, memory = PersonalData(pool), memory_shop()
    orders = PaymentOrders(settings, ledger, pool)
    stars = StarsPayments(orders, recorded_bot()[0], people)
    checkout = dataclasses.replace(memory.checkout, orders=orders, stars=stars)
    shop = dataclasses.replace(
        memory,
        settings=settings,
        people=people,
        drafts=Drafts(pool),
        ledger=ledger,
        blobs=blobs,
        history=History(pool, ledger.read),
        moderation=Moderation("all", MemoryJudge(), Verdicts(pool), blobs),
        checkout=checkout,
        forgetting=Forgetting(settings, pool, ledger, blobs),
    )

    async def erase(account: str) -> None:
        await shop.forgetting.forget(account, actor=OPERATOR, reason="asked")

    async def store(update_id: int) -> None:
        insert = "INSERT INTO updates (update_id, chat_id, user_id, body) VALUES ($1, $2, $2, '{}')"
        await pool.execute(insert, update_id, ME)

    async def handled(update_id: int) -> None:
        await pool.execute("DELETE FROM updates WHERE update_id = $1", update_id)

    return World(shop, PostgresStorage(pool), erase, store, handled)


async def make(ledger: Any, job: str) -> None:
    """What a worker does."""
    await ledger.execute(c.StartJob(job, 1, "w"), key=f"1{job}")
    await ledger.execute(c.RecordPrompt(job, 1, "prompt", "openai", "t"), key=f"2{job}")
    await ledger.execute(c.IntendSubmission(job, 1, 1, "k", "m"), key=f"3{job}")
    await ledger.execute(c.SucceedJob(job, 1, 1, Video("v", "0" * 64, 9)), key=f"4{job}")
