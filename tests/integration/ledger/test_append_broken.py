"""Appending while connections, backends, writers, clocks or the log itself break."""

import asyncio
import random

import pytest

from events.account import CreditsGranted
from ledger import commands as c
from ledger.errors import InsufficientCreditsError, LedgerUnavailableError
from ledger.log.appender import Appender
from ledger.log.batch import Receipt
from ledger.log.ledger import Ledger
from tests.integration.ledger.conftest import order, positions, rich
from tests.support.waiting import eventually


@pytest.mark.parametrize("fate", ["before", "after"])
async def test_a_connection_cut_at_the_commit_is_resolved_to_the_truth(ledger, pool, proxied, fate):
    """`before`: the server never saw the COMMIT. `after`: it committed, but the answer was lost."""
    await rich(ledger, "a")
    proxy, url = proxied
    async with Ledger(url, pool) as through:
        await through.execute(order("a", "warm"), key="order:warm")
        left = [fate]
        proxy.cut = lambda data: left.pop() if left and b"COMMIT" in data else None
        answers = await asyncio.gather(
            *[through.execute(order("a", f"o{n}"), key=f"order:o{n}") for n in range(3)]
        )
        assert proxy.cuts == 1
        assert [await through.execute(order("a", f"o{n}"), key=f"order:o{n}") for n in range(3)] == answers
    assert (await ledger.read.account("a")).balance == 1000 - 4
    assert await positions(ledger) == list(range(1, 12))


async def test_commits_cut_again_and_again_under_load_give_each_caller_one_receipt(ledger, pool, proxied):
    """Every second commit or so, on either side, while the next batch is already under way behind it."""
    await rich(ledger, "a")
    proxy, url = proxied
    dice = random.Random(3)

    def cut(data: bytes) -> str | None:
        return dice.choice([None, None, "before", "after"]) if b"COMMIT" in data and proxy.cuts < 12 else None

    async with Ledger(url, pool) as through:

        async def caller(number: int) -> list[Receipt]:
            named = [f"o{number}-{n}" for n in range(10)]
            return [await through.execute(order("a", name), key=f"order:{name}") for name in named]

        await through.execute(order("a", "warm"), key="order:warm")
        proxy.cut = cut
        receipts = await asyncio.gather(*(caller(number) for number in range(40)))
        assert proxy.cuts == 12
    for number, told in enumerate(receipts):
        named = [f"o{number}-{n}" for n in range(10)]
        assert told == [await ledger.execute(order("a", name), key=f"order:{name}") for name in named]
    assert (await ledger.read.account("a")).balance == 1000 - 1 - 400
    assert await positions(ledger) == list(range(1, 3 + 2 * 401 + 1))


async def test_backends_killed_under_load_lose_and_double_nothing(ledger, database_url, pool, owner):
    await rich(ledger, "a", 400)
    done = asyncio.Event()

    async def kill() -> int:
        killed = 0
        while not done.is_set() and killed < 20:
            killed += await owner.fetchval(
                """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE application_name = 'neurocards-appender' AND datname = current_database()"""
            )
            await asyncio.sleep(0.05)
        return killed

    async with Ledger(database_url, pool) as another:
        killer = asyncio.create_task(kill())
        for wave in range(10):  # the kills end before the waves do, or the waves would hardly move
            await asyncio.gather(
                *[
                    who.execute(order("a", f"o{wave}-{n}-{i}"), key=f"order:o{wave}-{n}-{i}")
                    for n in range(20)
                    for i, who in enumerate((ledger, another))
                ]
            )
        done.set()
        assert await killer > 0
    assert (await ledger.read.account("a")).balance == 0
    assert await positions(ledger) == list(range(1, 3 + 800 + 1))


async def test_an_appender_frozen_in_the_middle_of_a_message_loses_the_lock_too(ledger, proxied, pool):
    """The server has half of the insert and waits for the rest, holding the lock."""
    await rich(ledger, "a")
    proxy, url = proxied
    async with Ledger(url, pool) as frozen:
        await frozen.execute(order("a", "warm"), key="order:warm")
        proxy.half = b"COMMIT"
        stuck = asyncio.create_task(frozen.execute(order("a", "o1"), key="order:o1"))
        await eventually(lambda: proxy.cuts == 1)
        async with asyncio.timeout(60):
            await ledger.execute(order("a", "o2"), key="order:o2")
        assert (await stuck).position > 6
    assert (await ledger.read.account("a")).balance == 1000 - 3


async def test_postgres_that_stays_away_is_an_error_in_time(database_url, owner, proxied):
    proxy, url = proxied
    appender = Appender(url, "neurocards_app", give_up_s=0.5)
    await appender.start()
    proxy.cut = lambda data: "before"
    with pytest.raises(LedgerUnavailableError):
        await appender.submit(c.OpenAccount("a"), "k")
    proxy.cut = lambda data: None
    await appender.submit(c.OpenAccount("a"), "k")
    await appender.close()


async def test_time_never_goes_back(ledger, owner):
    await rich(ledger, "a")
    await owner.execute("ALTER TABLE events DISABLE TRIGGER events_append_only")
    future_us = await owner.fetchval(
        """UPDATE events SET recorded_at_us = recorded_at_us + 3600000000
           WHERE position = 3 RETURNING recorded_at_us"""
    )
    receipt = await ledger.execute(c.GrantCredits("a", 1, "manual", "x"), key="grant")
    assert receipt.recorded_at_us == future_us


async def test_a_log_that_went_back_is_noticed_and_nothing_stale_is_used(ledger, owner):
    await rich(ledger, "a", 1)
    await ledger.execute(c.GrantCredits("a", 5, "manual", "x"), key="grant")
    await owner.execute("ALTER TABLE events DISABLE TRIGGER events_append_only")
    await owner.execute("DELETE FROM events WHERE position = 4")
    with pytest.raises(InsufficientCreditsError) as refused:
        await ledger.execute(order("a", "o", "j1", "j2"), key="order:o")
    assert refused.value.balance == 1
    again = await ledger.execute(c.GrantCredits("a", 5, "manual", "x"), key="grant")
    assert again.position == 4
    assert CreditsGranted.__name__ == (await ledger.read.events_after(3))[0].type
