"""More is asked than Postgres takes: a full queue says so and grows no more. A bad command harms no other."""

import asyncio
import random
import tracemalloc

import pytest

from ledger import commands as c
from ledger.errors import InsufficientCreditsError, KeyReusedError, LedgerBusyError, LedgerError
from ledger.log.appender import Appender
from ledger.log.batch import Receipt
from ledger.log.clock import LogClock
from tests.integration.ledger.conftest import hold_lock, order, positions, rich

QUEUE = 300
BATCH = 64


async def test_a_full_queue_refuses_without_growing_and_keeps_what_it_took(database_url, ledger, owner):
    appender = Appender(database_url, LogClock(), queue_max=QUEUE, batch_max=BATCH)
    await appender.start()
    lock = await hold_lock(owner)
    taken: dict[str, asyncio.Future[Receipt]] = {}
    busy: list[str] = []

    async def ask(number: int) -> None:
        try:
            taken[f"k{number}"] = appender.submit(c.OpenAccount(f"a{number}", "0" * 64), f"k{number}")
        except LedgerBusyError:
            busy.append(f"k{number}")
        if number % 50 == 0:
            await asyncio.sleep(0)  # the appender may take a batch

    for number in range(3 * QUEUE):
        await ask(number)
    assert QUEUE <= len(taken) <= QUEUE + 2 * BATCH

    tracemalloc.start()
    before_bytes, _ = tracemalloc.get_traced_memory()
    for number in range(20_000):
        with pytest.raises(LedgerBusyError):
            appender.submit(c.OpenAccount("a", "0" * 64), f"more{number}")
    grown_bytes = tracemalloc.get_traced_memory()[0] - before_bytes
    tracemalloc.stop()
    assert grown_bytes < 200_000

    await lock.rollback()
    receipts = await asyncio.gather(*taken.values())
    assert sorted(receipt.position for receipt in receipts) == list(range(1, len(taken) + 1))
    late = await asyncio.gather(
        *(appender.submit(c.OpenAccount(f"late-{key}", "0" * 64), key) for key in busy[:BATCH])
    )
    assert len(late) == BATCH, "a key that was refused for want of room is as good as new"
    await appender.close()
    assert (await ledger.read.head()).position == len(taken) + BATCH


async def test_bad_commands_among_many_are_refused_alone(ledger, owner):
    """Refused by a rule, by the key, and by Postgres: the last takes the whole transaction with it."""
    await rich(ledger, "a")
    await rich(ledger, "poor", 0)
    await ledger.execute(order("a", "used"), key="used")
    await owner.execute(
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = 'check_violation'; END $$;
           CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW
           WHEN (NEW.data ->> 'job' LIKE 'refused%') EXECUTE FUNCTION refuse()"""
    )
    good = [(f"good-{n}", order("a", f"o{n}")) for n in range(150)]
    bad = {
        "by-a-rule": (order("poor", "x"), InsufficientCreditsError),
        "used": (order("a", "other"), KeyReusedError),
        **{f"by-postgres-{n}": (order("a", f"r{n}", f"refused-{n}"), LedgerError) for n in range(3)},
    }
    asked = good + [(key, command) for key, (command, _) in bad.items()]
    random.Random(5).shuffle(asked)
    answers = await asyncio.gather(
        *(ledger.execute(command, key=key) for key, command in asked), return_exceptions=True
    )

    told = {key: answer for (key, _), answer in zip(asked, answers, strict=True)}
    refused = {key: type(answer) for key, answer in told.items() if isinstance(answer, BaseException)}
    assert refused == {key: error for key, (_, error) in bad.items()}
    assert (await ledger.read.account("a")).balance == 1000 - 1 - len(good)
    assert await positions(ledger) == list(range(1, (await ledger.read.head()).position + 1))
    await owner.execute("DROP TRIGGER refuse ON events")
    await ledger.execute(bad["by-postgres-0"][0], key="by-postgres-0")  # its key is still free
