"""Sellers who order videos: what a bot asks of the ledger, and nothing else."""

import asyncio
import itertools

from ledger import commands as c
from ledger.log.ledger import Ledger
from services.accounts.personal_data import Brief, PersonalData

SELLERS = 64
DEADLINE_S = 900
PHOTO = "photos/p.jpg"


class Shop:
    """Sellers with credits and one brief each."""

    def __init__(self, ledger: Ledger, people: PersonalData) -> None:
        self._ledger = ledger
        self._people = people
        self._serial = itertools.count()
        self._sellers: list[tuple[str, str]] = []

    async def open(self) -> None:
        for seller in range(SELLERS):
            account = (await self._people.account_of(seller, "ru")).account
            brief = await self._people.keep_text(account, Brief("a blue mug"))
            await self._ledger.execute(c.OpenAccount(account, "0" * 64), key=f"open:{account}")
            await self._ledger.execute(c.AcceptTerms(account, "1", 1_000_000), key=f"terms:{account}:1")
            self._sellers.append((account, brief))

    async def order(self) -> str:
        """Order one video; the job's id."""
        n = next(self._serial)
        account, brief = self._sellers[n % SELLERS]
        job = f"{n:024d}"
        order = c.OrderVideos(
            account, job, (job,), 1, "bytedance/seedance-2-fast", "ugc", PHOTO, brief, "en",
            DEADLINE_S,
        )  # fmt: skip
        await self._ledger.execute(order, key=f"order:{job}")
        return job

    async def order_many(self, count: int) -> None:
        """So many, each seller one after another."""
        left = iter(range(count))

        async def seller() -> None:
            for _ in left:
                await self.order()

        await asyncio.gather(*[seller() for _ in range(SELLERS)])
