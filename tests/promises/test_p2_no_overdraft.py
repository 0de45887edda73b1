"""Promise 2: No overdraft.

No interleaving of any number of processes spends a credit twice.
"""

import asyncio

from ledger import commands as c
from ledger.errors import (
    AlreadyExistsError,
    InsufficientCreditsError,
)
from ledger.log import pipeline
from ledger.log.batch import Receipt
from ledger.log.ledger import Ledger
from tests.integration.ledger.conftest import many, order, positions, rich


async def test_decided_ahead_nothing_is_overdrawn_and_everything_follows(ledger, owner, guesses):
    await rich(ledger, "a", 150)
    answers = await many(ledger, 200)
    assert guesses and all(guesses)
    assert [type(answer) for answer in answers] == [Receipt] * 150 + [InsufficientCreditsError] * 50
    assert (await ledger.read.account("a")).balance == 0
    assert await positions(ledger) == list(range(1, 3 + 300 + 1))
    assert await owner.fetch("SELECT * FROM audit.chain_breaks") == []
    times = [event.recorded_at_us async for event in ledger.read.scan()]
    assert times == sorted(times)


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


async def test_a_foreign_event_between_two_batches_is_seen(ledger, database_url, pool, guesses):
    """The other process's revocation waits for the lock behind the first batch, ahead of the second."""
    await rich(ledger, "a", 100)
    async with Ledger(database_url, pool) as other:
        revoked = c.RevokeCredits("a", 60, "fraud")
        answers, _ = await asyncio.gather(many(ledger, 100), other.execute(revoked, key="revoke"))
    charged = sum(isinstance(answer, Receipt) for answer in answers)
    assert (await ledger.read.account("a")).balance == 100 - 60 - charged
    assert 40 <= charged <= 100


async def test_a_batch_that_postgres_refuses_takes_the_next_one_nowhere(ledger, guesses):
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
    monkeypatch.setattr(pipeline, "_ROWS_MAX", 20)
    monkeypatch.setattr(pipeline, "_ROWS_MIN", 20)
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
