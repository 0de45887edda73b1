"""How many commands a batch takes: the larger it is, the less each one costs."""

import asyncio
from itertools import count

from ledger import commands as c
from ledger.log.appender import OVERLAP_ROWS_MIN, Appender
from ledger.log.clock import LogClock
from tests.integration.ledger.conftest import hold_lock
from tests.support.locks import WAITING_TO_APPEND
from tests.support.waiting import eventually

CALLERS = 5 * OVERLAP_ROWS_MIN


async def sizes(owner) -> list[int]:
    """Events of each batch so far: what was appended together has one transaction."""
    found = await owner.fetch("SELECT count(*) FROM events GROUP BY xmin::text ORDER BY min(position)")
    return [row[0] for row in found]


async def test_who_was_answered_is_in_the_next_batch(database_url, owner):
    """Two batches in turn, of half the callers each; it began with a small one, and one left over.

    On a busy machine some are larger, and a few smaller: as they began, every other one were.
    """
    appender, serial = Appender(database_url, LogClock()), count()
    await appender.start()

    async def asks(times: int) -> None:
        for _ in range(times):
            name = f"a{next(serial)}"
            await appender.submit(c.OpenAccount(name, "0" * 64), name)

    lock = await hold_lock(owner)
    few = CALLERS // 4
    tasks = [asyncio.create_task(asks(6)) for _ in range(few)]
    await eventually(lambda: _waiting(owner, 1))
    tasks += [asyncio.create_task(asks(6)) for _ in range(CALLERS - few)]
    await eventually(lambda: _waiting(owner, 2))
    await lock.rollback()
    await asyncio.gather(*tasks)
    await appender.close()
    first, *between, _ = await sizes(owner)
    assert first == few and len(between) >= 4
    assert sum(size < CALLERS // 2 for size in between) <= len(between) // 3


async def test_while_others_write_too_a_batch_takes_all_that_wait(database_url, owner):
    ours, theirs = Appender(database_url, LogClock()), Appender(database_url, LogClock())
    serial = count()

    async def ask(appender: Appender, commands: int) -> None:
        names = [f"a{next(serial)}" for _ in range(commands)]
        await asyncio.gather(*[appender.submit(c.OpenAccount(name, "0" * 64), name) for name in names])

    for appender in (ours, theirs):
        await appender.start()
    for appender, commands in (ours, 1), (ours, 1), (theirs, 1), (ours, 1), (ours, CALLERS), (ours, CALLERS):
        await ask(appender, commands)
    for appender in (ours, theirs):
        await appender.close()
    assert await sizes(owner) == [1, 1, 1, 1, CALLERS, CALLERS // 2, CALLERS // 2]


async def _waiting(owner, backends: int) -> bool:
    return bool(await owner.fetchval(WAITING_TO_APPEND) == backends)
