"""Promise 2: No overdraft.

No interleaving of any number of processes spends a credit twice.
"""

import asyncio

import pytest

from events.stream_names import SALES_STREAM
from ledger import commands as c
from ledger.errors import (
    AlreadyExistsError,
    InsufficientCreditsError,
)
from ledger.log import batch
from ledger.log.appender import Appender
from ledger.log.batch import Pending, Receipt
from ledger.log.ledger import Ledger
from tests.integration.ledger.conftest import many, order, positions, rich


@pytest.fixture
def flights(monkeypatch) -> list[list[set[str]]]:
    """Streams and keys of what is under way, each time that something is sent, but what all sales read."""
    seen: list[list[set[str]]] = []
    launch = Appender._launch

    async def launched(self: Appender, taken: list[Pending]) -> None:
        await launch(self, taken)
        if self._flights:
            named = [
                {name for one in flight.batch for name in (*one.reads, one.key)} - {SALES_STREAM}
                for flight in self._flights
            ]
            seen.append(named)

    monkeypatch.setattr(Appender, "_launch", launched)
    return seen


async def test_under_load_nothing_is_overdrawn_and_everything_follows(ledger, owner):
    await rich(ledger, "a", 150)
    answers = await many(ledger, 200)
    assert [type(answer) for answer in answers] == [Receipt] * 150 + [InsufficientCreditsError] * 50
    assert (await ledger.read.account("a")).balance == 0
    assert await positions(ledger) == list(range(1, 3 + 300 + 1))
    assert await owner.fetch("SELECT * FROM audit.chain_breaks") == []
    times = [event.recorded_at_us async for event in ledger.read.scan()]
    assert times == sorted(times)


async def test_two_batches_under_way_are_never_about_the_same_account(ledger, owner, flights):
    """While one is being written the next is decided: only on what the first cannot change."""
    names = [f"a{n}" for n in range(40)]
    for name in names:
        await rich(ledger, name, 5)
    asked = [  # of the first half's what the first batch leaves has to be passed over
        ledger.execute(order(name, f"{name}-{n}"), key=f"{name}-{n}")
        for half in (names[:20], names[20:])
        for n in range(8)
        for name in half
    ]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == ([Receipt] * 100 + [InsufficientCreditsError] * 60) * 2
    assert any(len(flying) == 2 for flying in flights), "never two at once"
    for first, *others in flights:
        assert all(first.isdisjoint(other) for other in others)
    assert {(await ledger.read.account(name)).balance for name in names} == {0}
    assert await owner.fetch("SELECT * FROM audit.chain_breaks") == []


async def test_two_busy_processes_do_not_decide_on_what_the_other_has_changed(ledger, database_url, pool):
    await rich(ledger, "a", 300)
    async with Ledger(database_url, pool) as other:
        both = await asyncio.gather(many(ledger, 200, name="x"), many(other, 200, name="y"))
    done = [answer for answers in both for answer in answers if isinstance(answer, Receipt)]
    refused = [
        answer for answers in both for answer in answers if isinstance(answer, InsufficientCreditsError)
    ]
    assert (len(done), len(refused)) == (300, 100)
    assert (await ledger.read.account("a")).balance == 0
    assert await positions(ledger) == list(range(1, 3 + 600 + 1))


async def test_a_foreign_event_between_two_batches_is_seen(ledger, database_url, pool):
    """The other process's revocation waits for the lock behind the first batch, ahead of the second."""
    await rich(ledger, "a", 100)
    async with Ledger(database_url, pool) as other:
        revoked = c.RevokeCredits("a", 60, "fraud")
        answers, _ = await asyncio.gather(many(ledger, 100), other.execute(revoked, key="revoke"))
    charged = sum(isinstance(answer, Receipt) for answer in answers)
    assert (await ledger.read.account("a")).balance == 100 - 60 - charged
    assert 40 <= charged <= 100


async def test_a_batch_that_postgres_refuses_takes_the_next_one_nowhere(ledger):
    await rich(ledger, "a")
    await ledger.execute(order("a", "taken", "j"), key="order:taken")
    jobs = [f"j{n}" for n in range(64)]
    jobs[3] = "j"
    asked = [ledger.execute(order("a", f"o{job}", job), key=f"order:o{job}") for job in jobs]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(answers[3], AlreadyExistsError)
    assert sum(isinstance(answer, Receipt) for answer in answers) == 63
    assert (await ledger.read.account("a")).balance == 1000 - 1 - 63
    assert await positions(ledger) == list(range(1, 3 + 2 + 126 + 1))


async def test_a_batch_ends_where_it_would_hold_the_lock_too_long(ledger, monkeypatch):
    monkeypatch.setattr(batch, "ROWS_MAX", 20)
    await rich(ledger, "a")
    receipts = [answer for answer in await many(ledger, 100) if isinstance(answer, Receipt)]
    assert [receipt.position for receipt in receipts] == list(range(4, 4 + 200, 2))
    assert len({receipt.recorded_at_us for receipt in receipts}) >= 5


async def test_no_overdraft_between_appenders_with_warm_caches(ledger, database_url, pool):
    await rich(ledger, "a", 10)
    async with Ledger(database_url, pool) as another:
        asked = [
            who.execute(order("a", f"o{n}-{i}"), key=f"order:o{n}-{i}")
            for n in range(20)
            for i, who in enumerate((ledger, another))
        ]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(not isinstance(answer, Exception) for answer in answers) == 10
        assert {type(a) for a in answers if isinstance(a, Exception)} == {InsufficientCreditsError}
        # A rejection is decided on the newest state, too, though the grant came from elsewhere.
        await another.execute(c.GrantCredits("a", 1, "manual", "x"), key="grant:1")
        await ledger.execute(order("a", "last"), key="order:last")
    assert await positions(ledger) == list(range(1, 27))
