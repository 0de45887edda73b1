"""An appender on a host whose clock is wrong by a day: every time that counts is the database's."""

from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest

from ledger import commands as c
from ledger.log.batch import Receipt
from ledger.log.ledger import Ledger
from ledger.sql import load_queries
from tests.support import fork_server
from tests.support.wrong_clock import shift_clock

query = load_queries("ledger.log")

DAY_S = 86_400
HOUR_US = 3_600_000_000
Asked = tuple[c.Command, str]


@pytest.mark.parametrize("off_s", [DAY_S, -DAY_S], ids=["ahead", "behind"])
async def test_a_wrong_clock_changes_nothing(ledger: Ledger, pool, database_url: str, off_s: int):
    began_us = int(await pool.fetchval(query("clock")))
    soon_us, passed_us = began_us + HOUR_US, began_us - HOUR_US
    answers = elsewhere(
        off_s,
        database_url,
        (c.OpenAccount("a", "0" * 64), "open"),
        (c.AcceptTerms("a", "1", 0), "terms"),
        (c.GrantCredits("a", 3, "manual", "lives", None, soon_us), "lives"),
        (c.OrderVideos("a", "o1", ("j1",), 2, "m", "ugc", "p", "b", "ru", 900), "o1"),
        (c.GrantCredits("a", 5, "manual", "is over", None, passed_us), "over"),
        (c.OrderVideos("a", "o2", ("j2",), 2, "m", "ugc", "p", "b", "ru", 900), "o2"),
    )
    ended_us = int(await pool.fetchval(query("clock")))

    *receipts, over, short = answers
    assert all(isinstance(answer, Receipt) for answer in receipts), answers
    assert short == "InsufficientCreditsError", (
        "credits whose life is over by the database's clock were spent"
    )
    assert isinstance(over, Receipt) or over == "InvalidCommandError"
    events = [event async for event in ledger.read.scan()]
    assert all(began_us <= event.recorded_at_us <= ended_us for event in events)
    (job,) = await ledger.read.open_jobs()
    assert began_us + 900_000_000 <= job.deadline_at_us <= ended_us + 900_000_000
    assert (await ledger.read.account("a")).balance == 1
    again = await ledger.execute(c.GrantCredits("a", 1, "manual", "x"), key="after")
    assert began_us <= again.recorded_at_us < ended_us + HOUR_US, "time goes on from the host's"


def elsewhere(off_s: int, database_url: str, *asked: Asked) -> list[Receipt | str]:
    """Ask one after another in a new process whose wall clock is off; receipts, or names of errors."""
    ours, theirs = Pipe()
    process = fork_server.call(_live, off_s, database_url, asked, pipe=theirs)
    assert ours.poll(60), "no answers"
    answers: list[Receipt | str] = ours.recv()
    process.wait(60)
    return answers


def _live(off_s: int, database_url: str, asked: Sequence[Asked], answers: Connection) -> None:
    shift_clock(off_s)
    import asyncio

    answers.send(asyncio.run(_ask(database_url, asked)))


async def _ask(database_url: str, asked: Sequence[Asked]) -> list[Receipt | str]:
    import asyncpg

    answers: list[Receipt | str] = []
    pool = asyncpg.create_pool(database_url, min_size=0, server_settings={"role": "neurocards_app"})
    async with pool, Ledger(database_url, pool) as ledger:
        for command, key in asked:
            try:
                answers.append(await ledger.execute(command, key=key))
            except Exception as error:
                answers.append(type(error).__name__)
    return answers
