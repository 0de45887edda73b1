"""Appending while connections, backends, writers, clocks or the log itself break."""

import asyncio

import pytest

from events.account import CreditsGranted
from ledger import commands as c
from ledger.errors import InsufficientCreditsError, LedgerUnavailableError
from ledger.log.appender import Appender
from ledger.log.clock import LogClock
from ledger.log.ledger import Ledger
from tests.integration.ledger.conftest import order, rich
from tests.support.waiting import eventually


@pytest.mark.parametrize("number", [1, 2], ids=["the only message", "after it has taken the lock"])
async def test_an_appender_frozen_in_the_middle_of_a_message_loses_the_lock_too(
    ledger, proxied, pool, number: int
):
    """The server has half of the call and waits for the rest: without the lock, or holding it."""
    await rich(ledger, "a")
    proxy, url = proxied

    def freeze(data: bytes) -> None:
        nonlocal number
        if b"CreditsCharged" in data:
            number -= 1
            proxy.half = None if number else b"CreditsCharged"

    async with Ledger(url, pool) as frozen:
        await frozen.execute(order("a", "warm"), key="order:warm")
        # What it knows of the account is old now: its first call is refused, the second follows the lock.
        await ledger.execute(c.GrantCredits("a", 1, "manual", "x"), key="grant")
        proxy.cut = freeze
        stuck = asyncio.create_task(frozen.execute(order("a", "o1"), key="order:o1"))
        await eventually(lambda: proxy.cuts == 1)
        async with asyncio.timeout(60):
            await ledger.execute(order("a", "o2"), key="order:o2")
        assert (await stuck).position > 6
    assert (await ledger.read.account("a")).balance == 1000 + 1 - 3


async def test_postgres_that_stays_away_is_an_error_in_time(database_url, owner, proxied):
    proxy, url = proxied
    appender = Appender(url, LogClock(), give_up_s=0.5)
    await appender.start()
    proxy.cut = lambda data: "before"
    with pytest.raises(LedgerUnavailableError):
        await appender.submit(c.OpenAccount("a", "0" * 64), "k")
    proxy.cut = lambda data: None
    await appender.submit(c.OpenAccount("a", "0" * 64), "k")
    await appender.close()


async def test_time_never_goes_back(ledger, owner):
    await rich(ledger, "a")
    await owner.execute("ALTER TABLE events DISABLE TRIGGER events_append_only")
    future_us = await owner.fetchval(
        """UPDATE events SET recorded_at_us = recorded_at_us + 3600000000
           WHERE position = 3 RETURNING recorded_at_us"""
    )
    receipt = await ledger.execute(c.OpenAccount("b", "0" * 64), key="open")
    assert receipt.recorded_at_us == future_us
    with pytest.raises(LedgerUnavailableError, match="try later"):
        await ledger.execute(c.GrantCredits("a", 1, "manual", "x"), key="grant")


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
