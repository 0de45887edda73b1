"""Sellers with an account and a chat, and their orders, placed through the ledger as the bot does it."""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import asyncpg
import httpx
import msgspec

from ledger import commands as c
from ledger.log.ledger import Ledger
from ledger.postgres import DATABASE_ERRORS
from services.accounts.drafts import Draft
from services.accounts.personal_data import Brief, PersonalData
from services.generation.catalogue import load_catalogue
from services.platform.blob_stores import open_blobs
from services.platform.blobs import one_chunk
from services.platform.ids import new_id
from services.platform.settings import Settings
from services.rehearsal.chat_client import Sandbox
from tests.support.outside import photo
from tests.support.stored_draft import store_draft

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

CREDITS: Final = 100
DEADLINE_S: Final = 120
"""Of jobs that are expected to end well, also on a busy machine."""
CONFIRM: Final = "Order?"
PHOTO: Final = "photos/cup.jpg"
NO_PHOTO: Final = "photos/nobody-has-it.jpg"
_PRODUCT = "Ceramic mug, blue glaze, 350 ml"
T = TypeVar("T")
CHATS = itertools.count(900_001)


class Seller(msgspec.Struct, frozen=True):
    """An account that may order, and its chat."""

    account: str
    chat: int
    credits: int


class Order(msgspec.Struct, frozen=True):
    """What was ordered; each job costs one credit."""

    order: str
    seller: Seller
    jobs: tuple[str, ...]
    status_message: int


class Fault(msgspec.Struct, frozen=True):
    """Something the provider does wrong with one job: `call`.`name` of services/sandbox/faults.py."""

    name: str
    call: str = "createTask"
    times: int | None = None
    after: int = 0
    args: dict[str, Any] = {}

    def rule(self, job: str) -> dict[str, Any]:
        """As the sandbox's control API takes it; the address of the callback names the job."""
        match = {"callback": f"/webhooks/kie/{job}/"}
        return {"api": "kie", "fault": self.name, "match": match} | {
            "call": self.call, "times": self.times, "after": self.after, "args": self.args,
        }  # fmt: skip


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again until Postgres answers."""
    while True:
        try:
            return await ask()
        except DATABASE_ERRORS:
            await asyncio.sleep(0.1)


class Sellers:
    """Everybody who has come to the arena, and all they ordered."""

    def __init__(
        self, ledger: Ledger, pool: "Pool", settings: Settings, http: httpx.AsyncClient, sandbox: Sandbox
    ) -> None:
        self._ledger = ledger
        self._pool = pool
        self._people = PersonalData(pool)
        self._blobs = open_blobs(settings)
        self._http = http
        self._sandbox = sandbox
        self._base = settings.sandbox_base
        self._bot = f"{settings.telegram_base}/bot{settings.telegram_token.get_secret_value()}"
        self.all: list[Seller] = []
        self.orders: list[Order] = []

    async def new(self, credits: int = CREDITS) -> Seller:
        """Somebody says /start, accepts the terms, and is given credits."""
        chat = next(CHATS)
        person = await patiently(lambda: self._people.account_of(chat, "en"))
        account = person.account
        await self._execute(c.OpenAccount(account, person.person), f"open:{account}")
        await self._execute(c.AcceptTerms(account, "1", credits), f"terms:{account}:1")
        seller = Seller(account, chat, credits)
        await self.come(seller)
        return seller

    async def come(self, seller: Seller) -> None:
        """Someone whose account is there already opens the chat."""
        said = await self._http.post(f"{self._base}/chat/{seller.chat}/send", json={"text": "/start"})
        said.raise_for_status()
        if not self.all:
            await self._blobs.put(PHOTO, one_chunk(photo(600, 800)), size_bytes_max=10_000_000)
        self.all.append(seller)

    async def order(
        self,
        seller: Seller,
        *,
        jobs: int = 1,
        deadline_s: int = DEADLINE_S,
        faults: Sequence[Fault] = (),
        names: Sequence[str] = (),
        photo: str = PHOTO,
    ) -> Order:
        """Charge and queue so many videos, with the status message as the bot leaves it."""
        names = tuple(names) or tuple(new_id() for _ in range(jobs))
        await self._sandbox.inject([fault.rule(job) for job in names for fault in faults])
        order, model, brief = new_id(), load_catalogue().default.slug, new_id()
        shown = await self._confirm_screen(seller.chat)
        words = Brief(_PRODUCT)
        draft = Draft(
            order, seller.account, seller.chat, photo, brief, words, shown, style="ugc", model=model,
            number=len(names), price=1, jobs=names, ordered=True,
        )  # fmt: skip
        await patiently(lambda: store_draft(self._pool, draft))
        command = c.OrderVideos(seller.account, order, names, 1, model, "ugc", photo, brief, "en", deadline_s)
        await self._execute(command, f"order:{order}")
        self.orders.append(Order(order, seller, names, shown))
        return self.orders[-1]

    async def _execute(self, command: c.Command, key: str) -> None:
        """As the bot does: the same key again until there is an answer."""
        await patiently(lambda: self._ledger.execute(command, key=key))

    async def _confirm_screen(self, chat: int) -> int:
        """The id of the message, however often it takes to send it."""
        while True:
            with contextlib.suppress(httpx.HTTPError):
                body, files = (
                    {"chat_id": chat, "caption": CONFIRM},
                    {"photo": ("p.jpg", photo(), "image/jpeg")},
                )
                answer = await self._http.post(f"{self._bot}/sendPhoto", data=body, files=files)
                return int(answer.raise_for_status().json()["result"]["message_id"])
