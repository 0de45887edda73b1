"""A process stopped (SIGSTOP) at any point of an append does not hold up the others until it is woken.

When it is woken it tells its callers the truth: one receipt each, for what stands in the log once.
"""

import asyncio
import os
import signal

import pytest

from events.account import CreditsCharged
from tests.integration.ledger.conftest import order, positions, rich
from tests.support import stopping
from tests.support.hand_made import append
from tests.support.killed_writers import Diary
from tests.support.stopping import POINTS, READING, STOPPED, key_of, stopping_process
from tests.support.waiting import PATIENCE_S, eventually

COMMANDS = 5
UNREAD = """SELECT count(*) FROM pg_stat_activity
            WHERE wait_event = 'ClientWrite' AND application_name = 'neurocards-appender'
              AND datname = current_database()"""


@pytest.mark.chaos
@pytest.mark.parametrize("point", POINTS)
async def test_a_stopped_process_lets_the_others_go_on_and_then_tells_the_truth(
    ledger, owner, database_url, tmp_path, point
):
    await rich(ledger, "a")
    if point == READING:
        await append(owner, [("account-a", "TermsAccepted", {"terms": "x" * 11_000})] * 100)
    diary = Diary(tmp_path / "diary")
    process = stopping_process(database_url, diary.path, point, COMMANDS)
    await eventually(lambda: STOPPED in diary.lines(), what="the process to stop itself")
    if point == READING:  # a megabyte; the server waits for its reader, for ever, and holds no lock
        await eventually(lambda: owner.fetchval(UNREAD))

    async with asyncio.timeout(PATIENCE_S):
        await ledger.execute(order("a", "other"), key="order:other")
    assert list(diary.lines()) == [STOPPED], "it was not stopped"
    os.kill(process.pid, signal.SIGCONT)
    assert await asyncio.to_thread(process.wait, PATIENCE_S) == 0
    told = {line.key: line.receipt or line.refused for line in diary.lines() if line != STOPPED}
    commands = [stopping.order(number) for number in range(COMMANDS)]
    assert told == {key_of(asked): await ledger.execute(asked, key=key_of(asked)) for asked in commands}
    charges = [event.key async for event in ledger.read.scan() if event.type == CreditsCharged.__name__]
    assert sorted(charges) == sorted([*told, "order:other"])
    assert await positions(ledger) == list(range(1, (await ledger.read.head()).position + 1))
    assert (await ledger.read.account("a")).balance == 1000 - COMMANDS - 1
    diary.close()
