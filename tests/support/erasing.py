"""A person in a chat with the real bot's handlers, whom somebody erases at a moment of the test's choice."""

import dataclasses
import json
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from ledger import commands as c
from ledger.log.ledger import Ledger
from services.accounts.drafts import Drafts
from services.accounts.erase import Forgetting
from services.accounts.personal_data import Account, PersonalData
from services.bot.chat_state import Awaiting, Buying, ChatData, PostgresStorage, save_data
from services.bot.context import Person
from services.bot.handlers import terms
from services.bot.moderation import Moderation, Verdicts
from services.bot.order_history import History
from services.bot.update_handler import build_dispatcher
from services.payments.orders import PaymentOrders as PaymentDesk
from services.platform.blobs import FolderBlobs
from services.platform.ids import new_id
from services.platform.settings import Settings
from tests.support.bot_session import MemoryJudge, memory_shop
from tests.unit.services.bot.handlers.test_all import USER, Desk

CHAT_ID = 5
"""Also the Telegram id of USER."""
PERSONAL = (
    "accounts", "texts", "outside_words", "blobs", "drafts", "chat_states", "verdicts", "wrong_codes",
    "notice_requests", "payment_links",
)  # fmt: skip

Step = Callable[[], Awaitable[None]]


def stepwise(method: Callable[..., Awaitable[Any]], step: Step) -> Any:
    """The method, with `step` before and after it."""

    async def stepping(*args: Any, **kwargs: Any) -> Any:
        await step()
        answer = await method(*args, **kwargs)
        await step()
        return answer

    return stepping


class Stepwise:
    """Does what `inner` does, step by step. All its methods are coroutines."""

    def __init__(self, inner: Any, step: Step) -> None:
        self._inner, self._step = inner, step

    def __getattr__(self, name: str) -> Any:
        return stepwise(getattr(self._inner, name), self._step)


class Scene:
    """`wanted`: the step of an update at which its person is to be erased; `steps`: how many it had."""

    def __init__(
        self,
        settings: Settings,
        pool: "asyncpg.Pool[asyncpg.Record]",
        ledger: Ledger,
        blobs: FolderBlobs,
    ) -> None:
        self.pool, self.blobs = pool, blobs
        self.people = PersonalData(pool)
        self.forgetting = Forgetting(settings, pool, ledger, blobs)
        self.account = ""
        self.wanted, self.erase_at, self.steps = 0, 0, 0
        people: Any = Stepwise(self.people, self.step)
        self.drafts = Drafts(pool)
        drafts: Any = Stepwise(self.drafts, self.step)
        stored: Any = Stepwise(blobs, self.step)
        verdicts: Any = Stepwise(Verdicts(pool), self.step)
        shop = memory_shop()
        shop = dataclasses.replace(
            shop,
            settings=settings,
            people=people,
            drafts=drafts,
            ledger=ledger,
            blobs=stored,
            history=History(pool, ledger.read),
            moderation=Moderation("all", MemoryJudge(), verdicts, stored),
            forgetting=self.forgetting,
            checkout=dataclasses.replace(shop.checkout, orders=PaymentDesk(settings, ledger, pool)),
        )
        self.desk = Desk(shop)
        self.storage = PostgresStorage(pool)
        for thing, names in (
            (self.storage, ("get_state", "set_state", "get_data", "set_data")),
            (self.desk.session, ("make_request",)),
        ):
            for name in names:
                setattr(thing, name, stepwise(getattr(thing, name), self.step))
        for router in self.desk.dispatcher.sub_routers:
            router._parent_router = None
        self.desk.dispatcher = build_dispatcher(shop, self.storage)

    async def step(self) -> None:
        self.steps += 1
        if self.steps == self.erase_at:
            await self.forgetting.forget(self.account, actor="login:neurocards_operator", reason="asked")

    async def enter(self, *, contact: bool = False) -> Account:
        """Somebody with terms accepted; never erased in here. `contact`: asked for a receipt's address."""
        self.erase_at = 0
        account = await self.people.account_of(CHAT_ID, "en")
        self.account = account.account
        await terms.accept_terms(
            self.desk.shop, Person(account.account, "en", CHAT_ID, False, account.person)
        )
        grant = c.GrantCredits(self.account, 5, "manual", "test", actor="login:neurocards_operator")
        await self.forgetting._ledger.execute(grant, key=f"grant:{self.account}")
        if contact:
            context = self.desk.dispatcher.fsm.get_context(self.desk.bot, CHAT_ID, CHAT_ID)
            await save_data(context, ChatData(buying=Buying(new_id(), "credits-5", "", 40)))
            await context.set_state(Awaiting.contact)
        return account

    async def feed(self, kind: str, **event: Any) -> None:
        """As out of the inbox."""
        self.desk._update_id += 1
        update_id, self.steps = self.desk._update_id, 0
        event |= {"from": USER}
        body = json.dumps({"update_id": update_id, kind: event})
        insert = "INSERT INTO updates (update_id, chat_id, user_id, body) VALUES ($1, $2, $2, $3)"
        await self.pool.execute(insert, update_id, CHAT_ID, body)
        self.desk._update_id -= 1
        await self.desk.feed(**{kind: event})
        await self.pool.execute("DELETE FROM updates WHERE update_id = $1", update_id)

    async def left(self) -> dict[str, Any]:
        """What there is of any person, anywhere."""
        found: dict[str, Any] = {}
        for table in PERSONAL:
            condition = "WHERE account IS NOT NULL" if table == "blobs" else ""
            found[table] = await self.pool.fetchval(f"SELECT count(*) FROM {table} {condition}")
        found["files"] = [path.name for path in self.blobs.root.rglob("*") if path.is_file()]
        return {name: left for name, left in found.items() if left}
