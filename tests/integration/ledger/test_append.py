"""The append protocol on a real Postgres, with each race forced."""

import asyncio

import pytest

from events.job import Failure
from ledger import commands as c
from ledger.errors import (
    AlreadyExistsError,
    InvalidCommandError,
    LedgerBusyError,
    LedgerError,
    LedgerUnavailableError,
)
from ledger.log.appender import Appender
from ledger.log.clock import LogClock
from tests.integration.ledger.conftest import order, rich


async def test_an_order_stands_in_the_log_with_its_open_job(ledger):
    await rich(ledger, "a", 2)
    receipt = await ledger.execute(order("a", "o"), key="order:o")
    assert (receipt.position, receipt.events) == (4, 2)
    events = await ledger.read.events_after(3)
    assert [(e.stream, e.type, e.key) for e in events] == [
        ("account-a", "CreditsCharged", "order:o"),
        ("job-o-1", "JobQueued", None),
    ]
    assert [(j.job, j.account, j.position) for j in await ledger.read.open_jobs()] == [("o-1", "a", 5)]
    assert (await ledger.read.account("a")).balance == 1
    failed = c.FailJob("o-1", "a", "operator", Failure("our_fault"))
    await ledger.execute(failed, key="fail:o-1")
    assert await ledger.read.open_jobs() == []
    assert (await ledger.read.account("a")).balance == 2


async def test_what_postgres_refuses_is_rejected_alone(ledger):
    """The long stream name passes the deciders and fails a CHECK; the batch's other commands go on."""
    await rich(ledger, "a")
    bad = ledger.execute(order("a", "bad", "x" * 250), key="order:bad")
    good = [ledger.execute(order("a", f"o{n}"), key=f"order:o{n}") for n in range(5)]
    answers = await asyncio.gather(bad, *good, return_exceptions=True)
    assert isinstance(answers[0], LedgerError)
    assert not any(isinstance(answer, Exception) for answer in answers[1:])
    assert (await ledger.read.account("a")).balance == 995


async def test_a_job_id_that_is_taken_is_refused(ledger):
    await rich(ledger, "a")
    await ledger.execute(order("a", "o1", "j"), key="order:o1")
    with pytest.raises(AlreadyExistsError):
        await ledger.execute(order("a", "o2", "j"), key="order:o2")
    assert (await ledger.read.account("a")).balance == 999


async def test_a_cancelled_caller_takes_nobody_with_it(ledger):
    await rich(ledger, "a")
    asked = [asyncio.create_task(ledger.execute(order("a", f"o{n}"), key=f"order:o{n}")) for n in range(50)]
    await asyncio.sleep(0)
    for task in asked[::2]:
        task.cancel()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(a, asyncio.CancelledError) for a in answers[::2])
    assert not any(isinstance(a, BaseException) for a in answers[1::2])
    # Whatever the cancelled ones came to, asking again gives each its one outcome.
    await asyncio.gather(*[ledger.execute(order("a", f"o{n}"), key=f"order:o{n}") for n in range(50)])
    assert (await ledger.read.account("a")).balance == 950


async def test_a_full_queue_says_so(database_url):
    appender = Appender(database_url, LogClock(), queue_max=3)
    with pytest.raises(LedgerUnavailableError):
        appender.submit(c.OpenAccount("a", "0" * 64), "k")
    await appender.start()
    futures = [appender.submit(c.OpenAccount(f"a{n}", "0" * 64), f"k{n}") for n in range(3)]
    with pytest.raises(LedgerBusyError):
        appender.submit(c.OpenAccount("a3", "0" * 64), "k3")
    await asyncio.gather(*futures)
    await appender.close()


@pytest.mark.parametrize("account", ["a\x1fb", "a\n", "\ud800"])
async def test_an_id_that_could_be_taken_for_two_is_refused(ledger, account):
    with pytest.raises(InvalidCommandError):
        await ledger.execute(c.OpenAccount(account, "0" * 64), key="open")
