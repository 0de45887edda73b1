"""A correction of the log's time, what it gave back, and each way in which either can be wrong."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from ledger import commands as c
from ledger.checkpoints.checkpoint import Restored
from ledger.checkpoints.signed_note import new_key
from ledger.log.clock import wall_us
from ledger.log.ledger import Ledger
from projections.checkpoints import make_checkpoint
from tests.integration.ledger.conftest import rich
from tests.integration.ledger.tampering import Damaged, project, turned_clock

KEY = new_key("neurocards/test")
HOUR_US = 3_600_000_000
BEFORE, STATED, AHEAD, EXPIRED, CORRECTED, RETURNED = 3, 5, 6, 7, 8, 9
"""Positions: agreed to the terms, the first event of a clock that is ahead, and what came of it."""


@pytest.fixture(scope="module")
def log_url(postgres) -> Iterator[str]:
    with postgres.database() as url:
        asyncio.run(write(url))
        yield url


async def write(url: str) -> None:
    """A lot expires by a clock that is 20 hours ahead, and comes back; notes are signed around it."""
    async with asyncpg.create_pool(url, min_size=1, max_size=4) as pool, Ledger(url, pool) as ledger:
        await rich(ledger, "a")
        ends_us = wall_us() + 10 * HOUR_US
        await ledger.execute(c.GrantCredits("a", 5, "manual", "x", None, ends_us), key="lot")
        await project(pool)
        assert await make_checkpoint(ledger, KEY, program="0.1.0") is not None
        await pool.execute(turned_clock(20 * 3600))
        await ledger.execute(c.OpenAccount("b", "0" * 64), key="ahead")
        await ledger.execute(c.ExpireCredits("a"), key="expire")
        await pool.execute(turned_clock(0))
        assert (
            await pool.fetchval("SELECT position FROM ledger.correct_clock($1, 'x')", wall_us()) == CORRECTED
        )
        actor = f"login:{await pool.fetchval('SELECT session_user')}"
        returned = c.GrantCredits(
            "a", 5, "correction", "x", f"clock:{EXPIRED}", ends_us, actor=actor, from_lot=2
        )
        assert (await ledger.execute(returned, key=f"clock:{EXPIRED}")).position == RETURNED
        await project(pool)


@pytest.fixture
async def log(log_url: str) -> AsyncIterator[Damaged]:
    connection = await asyncpg.connect(log_url)
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        yield Damaged(connection, RETURNED)
    finally:
        await transaction.rollback()
        await connection.close()


async def found(log: Damaged, *kinds: str) -> list[tuple[str, int | None, str]]:
    """With hashes that fit; of these kinds."""
    await log.rewrite(0, lambda _, data: data)
    return [(p.kind, p.position, p.message) for p in await log.problems() if p.kind in (kinds or ("clock",))]


async def changed(log: Damaged, position: int, **fields: Any) -> None:
    update = "UPDATE events SET data = (data::jsonb || $2::text::jsonb)::json WHERE position = $1"
    await log.sql(update, position, json.dumps(fields))


async def test_a_log_that_was_corrected_is_clean(log: Damaged):
    assert await log.problems() == []
    assert await log.chain_breaks() == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"to_us": 1}, "otherwise than the times around it"),
        ({"from_us": 1}, "otherwise than the times around it"),
        ({"from_position": CORRECTED}, "otherwise than the times around it"),
        ({"from_position": AHEAD + 1}, "from position 7 on"),
        ({"from_position": AHEAD - 1}, "from position 5 on"),
        ({"actor": "login:neurocards_bot"}, "who calls themselves login:neurocards_bot"),
    ],
)
async def test_a_correction_that_says_what_is_not_so(log: Damaged, fields: dict[str, Any], words: str):
    await changed(log, CORRECTED, **fields)
    messages = [message for _, at, message in await found(log) if at == CORRECTED]
    assert any(words in message for message in messages), messages


async def test_a_correction_by_who_may_not(log: Damaged):
    await log.sql("UPDATE events SET writer = 'neurocards_bot' WHERE position = $1", CORRECTED)
    await changed(log, CORRECTED, actor="login:neurocards_bot")
    ((_, at, message),) = await found(log)
    assert at == CORRECTED and "is no operator" in message


async def test_a_correction_stands_in_its_stream(log: Damaged):
    await log.sql("UPDATE events SET stream = 'system-bot' WHERE position = $1", CORRECTED)
    assert ("clock", CORRECTED) in [(kind, at) for kind, at, _ in await found(log)]


async def test_time_falls_nowhere_else(log: Damaged):
    for at, name in ((BEFORE, "SystemStarted"), (RETURNED, "SystemStarted")):
        await log.sql("UPDATE events SET recorded_at_us = 1 WHERE position = $1", at)
        assert ("command", at) in [(kind, place) for kind, place, _ in await found(log, "command")], name


async def test_what_expired_by_the_clock_that_was_ahead_came_back_once(log: Damaged):
    assert (await found(log)) == []
    await changed(log, RETURNED, amount=4)
    ((_, at, message),) = await found(log)
    assert (
        at == EXPIRED
        and "5 credits of lot 2 of account-a expired" in message
        and "and 4 came back" in message
    )
    await changed(log, RETURNED, amount=6)
    ((_, at, message),) = await found(log)
    assert at == EXPIRED and "and 6 came back" in message


@pytest.mark.parametrize("fields", [{"reference": "clock:5"}, {"reference": "x"}, {"from_lot": 1}], ids=str)
async def test_what_did_not_expire_so_does_not_come_back(log: Damaged, fields: dict[str, Any]):
    await changed(log, RETURNED, **fields)
    missing, forged = await found(log)
    assert missing[1] == EXPIRED and "and 0 came back" in missing[2]
    assert forged[1] == RETURNED and "no clock had made them expire" in forged[2]


async def test_nothing_is_later_than_a_note_that_covers_it_unless_corrected(log: Damaged):
    """The second one covers what is hours later than itself, and was corrected."""
    rows = {row.position: row for row in await log.rows()}
    add = "INSERT INTO checkpoints (number, kind, position, hash, note) VALUES ($1, 'restored', $2, $3, $4)"
    for number, at in ((2, STATED), (3, RETURNED)):
        head = rows[at].cursor
        told = Restored(KEY.name, head, head, head, "anna", "why", rows[at].recorded_at_us - 1)
        await log.sql(add, number, at, head.hash, KEY.sign(told.text()))
    later = [problem for problem in await log.problems() if "later than the restored" in problem.message]
    assert [(problem.kind, problem.position) for problem in later] == [("clock", STATED), ("clock", RETURNED)]


async def test_a_time_is_looked_for_between_two_corrections(log: Damaged):
    times = {row.position: row.recorded_at_us for row in await log.rows()}
    ask = "SELECT audit.position_at(audit.to_time($1))"
    for at in (1, BEFORE, 4, STATED, CORRECTED, RETURNED):  # 2 is of the command that ends at 3
        assert await log.connection.fetchval(ask, times[at]) == at
    assert await log.connection.fetchval(ask, times[CORRECTED] - 1) == AHEAD - 1
    for later in (times[EXPIRED], times[EXPIRED] + HOUR_US):
        assert await log.connection.fetchval(ask, later) == RETURNED
    assert await log.connection.fetchval(ask, times[1] - 1) == 0
