"""Sellers and their orders on a real ledger, moved along without a bot, a provider or a worker."""

import asyncio
import itertools
from collections.abc import Sequence

import asyncpg
import msgspec

from events.job import Failure, Video
from ledger import commands as c
from ledger.log.ledger import Ledger
from services.accounts.drafts import Draft
from services.accounts.personal_data import Brief, PersonalData
from services.platform.blobs import BlobStore, one_chunk
from services.platform.ids import new_id
from tests.support.stored_draft import store_draft

_CHATS = itertools.count(5000)


class Seller(msgspec.Struct, frozen=True):
    """An account with terms accepted and credits."""

    account: str
    chat_id: int


class PlacedOrder(msgspec.Struct, frozen=True):
    """An order as its seller made it. `status_message` is the id of its status message."""

    order_id: str
    seller: Seller
    jobs: tuple[str, ...]
    price: int
    status_message: int | None


class OrderFixture:
    """Plays everything that leads to an event."""

    def __init__(self, ledger: Ledger, pool: "asyncpg.Pool[asyncpg.Record]", blobs: BlobStore) -> None:
        self.ledger = ledger
        self.pool = pool
        self.people = PersonalData(pool)
        self.blobs = blobs
        self._numbers = itertools.count(1)

    async def seller(self, *, credits: int = 100, locale: str = "ru", invited_by: str = "") -> Seller:
        """Someone new, with so many credits."""
        account = await self.people.account_of(next(_CHATS), locale)
        name = account.account
        opening = c.OpenAccount(name, account.person, invited_by=invited_by)
        await self.ledger.execute(opening, key=f"open:{name}")
        await self.ledger.execute(c.AcceptTerms(name, "1", credits), key=f"terms:{name}:1")
        return Seller(name, account.telegram_id)

    async def order(
        self,
        seller: Seller,
        jobs: int = 1,
        *,
        price: int = 1,
        deadline_s: int = 900,
        status_message: int | None = None,
        locale: str = "ru",
        model: str = "m",
    ) -> PlacedOrder:
        """An order with its draft; `deadline_s` 1 or less is as good as overdue."""
        draft = f"o{next(self._numbers)}x{seller.account[:8]}"
        names = tuple(f"{draft}j{number}" for number in range(1, jobs + 1))
        brief = new_id()
        await store_draft(
            self.pool,
            Draft(
                draft,
                seller.account,
                seller.chat_id,
                "photos/p.jpg",
                brief,
                Brief("cup"),
                message_id=status_message,
                style="ugc",
                model=model,
                number=jobs,
                price=price,
                jobs=names,
                ordered=True,
            ),
        )
        command = c.OrderVideos(
            seller.account, draft, names, price, model, "ugc", "photos/p.jpg", brief, locale, deadline_s
        )
        await self.ledger.execute(command, key=f"order:{draft}")
        return PlacedOrder(draft, seller, names, price, status_message)

    async def start(self, job: str) -> None:
        await self.ledger.execute(c.StartJob(job, 1, "w1"), key=f"start:{job}:1")

    async def submit(self, job: str, *, task: str | None = None, provider_account: str = "k1") -> None:
        """Prompt and intent; with `task` its acceptance too."""
        prompt = c.RecordPrompt(job, 1, f"prompt-{job}", "openai", "ugc-1")
        await self.ledger.execute(prompt, key=f"prompt:{job}:1")
        intent = c.IntendSubmission(job, 1, 1, provider_account, "m")
        await self.ledger.execute(intent, key=f"intend:{job}:1")
        if task is not None:
            await self.ledger.execute(c.RecordAccepted(job, 1, task), key=f"accept:{job}:1:{task}")

    async def succeed(self, job: str, data: bytes = b"mp4 bytes") -> Video:
        """The job's video is stored and recorded; after a failure as a gift."""
        stored = await self.blobs.put(f"videos/{job}.mp4", one_chunk(data), size_bytes_max=len(data))
        video = Video(stored.key, stored.sha256, stored.size_bytes)
        await self.ledger.execute(c.SucceedJob(job, 1, 1, video), key=f"succeed:{job}:1")
        return video

    async def finish(self, job: str, data: bytes = b"mp4 bytes") -> Video:
        """From queued to a video."""
        await self.start(job)
        await self.submit(job, task=f"task-{job}")
        return await self.succeed(job, data)

    async def fail(self, order: PlacedOrder, job: str, error_class: str = "transient") -> None:
        """The job ends with a refund."""
        account = order.seller.account
        ref = await self.people.keep_words(account, "it refused Anna\nthe whole answer")
        command = c.FailJob(job, account, "operator", Failure(error_class, "x", ref=ref))
        await self.ledger.execute(command, key=f"fail:{job}:operator")

    async def finish_all(self, jobs: Sequence[str]) -> None:
        await asyncio.gather(*(self.finish(job) for job in jobs))
