"""Batches that are decided while the one before is being written: as right as those that wait their turn."""

import asyncio

import pytest

from ledger import commands as c
from ledger.errors import AlreadyExistsError, InsufficientCreditsError
from ledger.log import pipeline
from ledger.log.batch import Receipt
from ledger.log.ledger import Ledger
from tests.integration.ledger.conftest import order, positions, rich


@pytest.fixture
def guesses(monkeypatch):
    """What became of each batch that was decided ahead: True if it stood."""
    stood: list[bool] = []
    guess = pipeline.BatchWriter._guess

    def spying(self, *args):
        answer = guess(self, *args)
        if answer is None:
            return None

        def spied(read):
            decided = answer(read)
            stood.append(decided is not None)
            return decided

        return spied

    monkeypatch.setattr(pipeline.BatchWriter, "_guess", spying)
    monkeypatch.setattr(pipeline, "_GUESS_US_MAX", 60_000_000)  # a busy machine takes its time
    return stood


async def many(ledger, count, account="a", name="o", price=1):
    """So many orders at once; receipts and errors in their order."""
    asked = [
        ledger.execute(order(account, f"{name}{n}", price=price), key=f"order:{name}{n}")
        for n in range(count)
    ]
    return await asyncio.gather(*asked, return_exceptions=True)


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


async def test_the_same_keys_in_two_batches_under_way_get_the_same_answers(ledger, guesses):
    await rich(ledger, "a")
    answers = await many(ledger, 64)
    twice = await asyncio.gather(many(ledger, 40, name="p"), many(ledger, 40, name="p"))
    assert twice[0] == twice[1]
    assert await many(ledger, 64) == answers
    assert any(guesses)
    assert (await ledger.read.account("a")).balance == 1000 - 64 - 40


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
    answers = await many(ledger, 100)
    assert [answer.position for answer in answers] == list(range(4, 4 + 200, 2))
    assert len({answer.recorded_at_us for answer in answers}) >= 5
