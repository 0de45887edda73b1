"""Credits end when they should, whoever books it and however late."""

import asyncio

import pytest

from ledger import commands as c
from ledger.errors import InsufficientCreditsError
from ledger.log.ledger import Ledger
from ledger.sql import load_queries

query = load_queries("ledger.log")


@pytest.fixture
async def soon_us(pool) -> int:
    return int(await pool.fetchval(query("clock"))) + 400_000


async def over(pool, at_us: int) -> None:
    left_s = "greatest($1::float8 - extract(epoch FROM clock_timestamp())::float8, 0)"
    await pool.execute(f"SELECT pg_sleep({left_s})", at_us / 1e6)


async def test_credits_that_have_ended_are_not_there_before_anyone_has_booked_it(
    ledger: Ledger, pool, soon_us: int
):
    await ledger.execute(c.OpenAccount("a", "0" * 64), key="open:a")
    await ledger.execute(c.AcceptTerms("a", "1", 1), key="terms:a:1")
    await ledger.execute(c.GrantCredits("a", 5, "manual", "x", None, soon_us), key="grant:a")
    assert (await ledger.read.account("a")).balance == 6
    await over(pool, soon_us)
    assert (await ledger.read.account("a")).balance == 1
    order = c.OrderVideos("a", "o", ("j1", "j2"), 1, "m", "ugc", "p", "b", "ru", 900)
    with pytest.raises(InsufficientCreditsError):
        await ledger.execute(order, key="order:o")
    assert [e.type for e in await ledger.read.stream("account-a")][-1] == "CreditsGranted"


async def test_asking_to_expire_from_everywhere_at_once_books_it_once(
    ledger: Ledger, database_url: str, pool, soon_us: int
):
    await ledger.execute(c.OpenAccount("a", "0" * 64), key="open:a")
    await ledger.execute(c.GrantCredits("a", 5, "manual", "x", None, soon_us), key="grant:a")
    early = await ledger.execute(c.ExpireCredits("a"), key="expire:early")
    assert early.events == 0
    await over(pool, soon_us)
    async with Ledger(database_url, pool) as another:
        doors = enumerate((ledger, another) * 5)
        asked = [door.execute(c.ExpireCredits("a"), key=f"expire:{n}") for n, door in doors]
        receipts = await asyncio.gather(*asked)
    assert sorted(receipt.events for receipt in receipts) == [0] * 9 + [1]
    assert (await ledger.read.account("a")).balance == 0
