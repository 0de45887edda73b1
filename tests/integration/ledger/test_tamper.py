"""Whatever a superuser does to the log with the guards off is found, and named: kind and place.

The damage is done in a transaction that is rolled back; the verification runs inside it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from projections.verify.findings import CHAIN_KINDS, Problem
from tests.integration.ledger.tampering import KEY, Damaged, write_log
from tests.support.servers import SessionPostgres

FIRST, MIDDLE, LAST = 3, 30, -1
PLACES = (FIRST, MIDDLE, LAST)


@pytest.fixture(scope="module")
def log_url(postgres: SessionPostgres) -> Iterator[str]:
    with postgres.database() as url:
        asyncio.run(write_log(url))
        yield url


@pytest.fixture
async def log(log_url: str) -> AsyncIterator[Damaged]:
    connection = await asyncpg.connect(log_url)
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        yield Damaged(connection, await connection.fetchval("SELECT max(position) FROM events"))
    finally:
        await transaction.rollback()
        await connection.close()


def first(problems: list[Problem]) -> tuple[str, int | None]:
    """What is said before all else."""
    return (problems[0].kind, problems[0].position) if problems else ("", None)


def at(log: Damaged, place: int) -> int:
    return place if place > 0 else log.head + 1 + place


FORGED = """'account-a', 500, 'CreditsGranted', '{"amount":100,"kind":"manual","reason":"x","lot":99}',
    'forged', sha256('x'), 1, 'neurocards_bot', recorded_at_us, sha256('z') FROM events"""


async def test_the_log_as_it_was_written_is_clean(log: Damaged):
    assert await log.problems(KEY.public) == []
    assert await log.chain_breaks() == []
    assert log.head >= 60


EDITS = {
    "stream": "stream = stream || 'x'",
    "version": "version = version + 70",
    "type": "type = 'JobHandedBack'",
    "data": """data = '{"amount":1000000}'""",
    "key": "key = coalesce(key, '') || 'x', body_hash = coalesce(body_hash, sha256('x')), "
    "command_events = coalesce(command_events, 1), writer = coalesce(writer, 'w')",
    "body_hash": "body_hash = sha256('y'), key = coalesce(key, 'k'), "
    "command_events = coalesce(command_events, 1), writer = coalesce(writer, 'w')",
    "command_events": "command_events = coalesce(command_events, 0) + 1, key = coalesce(key, 'k'), "
    "body_hash = coalesce(body_hash, sha256('x')), writer = coalesce(writer, 'w')",
    "writer": "writer = 'neurocards_web', key = coalesce(key, 'k'), "
    "command_events = coalesce(command_events, 1), "
    "body_hash = coalesce(body_hash, sha256('x'))",
    "recorded_at_us": "recorded_at_us = recorded_at_us - 1",
    "hash": "hash = sha256(hash)",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("column", EDITS)
async def test_an_edited_column_of_any_row_is_found_and_placed(log: Damaged, column: str, place: int):
    position = at(log, place)
    await log.sql(f"UPDATE events SET {EDITS[column]} WHERE position = $1", position)
    problems = await log.problems()
    assert first(problems) == ("renamed" if column == "stream" else "edited", position), problems
    if column in ("version", "recorded_at_us", "hash"):
        assert column in problems[0].message
    assert position in await log.chain_breaks()


@pytest.mark.parametrize("place", PLACES)
async def test_an_edited_position_is_a_row_that_moved(log: Damaged, place: int):
    position = at(log, place)
    await log.sql("UPDATE events SET position = position + 500 WHERE position = $1", position)
    problems = await log.problems()
    assert first(problems) == ("moved", position), problems
    assert str(position + 500) in problems[0].message
    assert await log.chain_breaks()


@pytest.mark.parametrize("place", PLACES)
async def test_a_row_put_into_another_stream_is_found(log: Damaged, place: int):
    position = at(log, place)
    await log.sql("UPDATE events SET stream = 'job-j4', version = 90 WHERE position = $1", position)
    assert first(await log.problems()) == ("edited", position)
    assert position in await log.chain_breaks()


async def test_a_renamed_stream_is_found_at_each_of_its_rows(log: Damaged):
    rows = [row.position for row in await log.rows() if row.stream == "job-j1"]
    await log.sql("UPDATE events SET stream = 'job-x' WHERE stream = 'job-j1'")
    problems = await log.problems()
    renamed = [p.position for p in problems if p.kind == "renamed" and "written to job-j1" in p.message]
    assert renamed == rows
    assert await log.chain_breaks() == rows


@pytest.mark.parametrize("place", (1, MIDDLE))
async def test_a_deleted_row_is_missed_where_it_stood(log: Damaged, place: int):
    await log.sql("DELETE FROM events WHERE position = $1", place)
    problems = await log.problems()
    assert first(problems) == ("deleted", place), problems
    assert not [p for p in problems if p.kind in CHAIN_KINDS and p.position != place]
    assert place + 1 in await log.chain_breaks()


async def test_deleted_rows_are_missed_together(log: Damaged):
    await log.sql("DELETE FROM events WHERE position BETWEEN 20 AND 24")
    problems = await log.problems()
    assert first(problems) == ("deleted", 20)
    assert "positions 20 to 24" in problems[0].message


async def test_a_deleted_row_is_missed_though_the_others_closed_up(log: Damaged):
    await log.sql("DELETE FROM events WHERE position = 20")
    await _shift(log, 20, -1)
    problems = await log.problems()
    assert first(problems) == ("deleted", 20), problems
    assert "moved forward" in problems[0].message


@pytest.mark.parametrize("missing", (1, 10))
async def test_a_missing_tail_is_told_by_cursors_and_checkpoints(log: Damaged, missing: int):
    await log.sql("DELETE FROM events WHERE position > $1", log.head - missing)
    problems = await log.problems()
    assert first(problems) == ("cut", log.head - missing + 1), problems
    assert f"at least {missing} events" in problems[0].message
    for witness in ("balances", "job_status", "notifier", "checkpoint number 2"):
        assert witness in problems[0].message
    assert await log.chain_breaks() == []  # the chain alone cannot tell


async def test_a_missing_tail_is_told_by_a_signed_checkpoint_alone(log: Damaged):
    await log.sql("DELETE FROM events WHERE position > $1", log.head - 5)
    await log.sql("UPDATE cursors c SET (position, hash) = (SELECT position, hash FROM events "
                  "ORDER BY position DESC LIMIT 1)")  # fmt: skip
    problems = await log.problems(KEY.public)
    assert first(problems) == ("cut", log.head - 4)
    assert "signed checkpoint number 2" in problems[0].message


@pytest.mark.parametrize("place", (FIRST, MIDDLE))
async def test_an_inserted_row_is_found_though_the_others_made_room(log: Damaged, place: int):
    await log.sql("SELECT 1")
    await _shift(log, place, 1)
    await log.sql(f"INSERT INTO events SELECT $1::bigint, {FORGED} WHERE position = $1 - 1", place)
    problems = await log.problems()
    assert first(problems) == ("inserted", place), problems
    assert place in await log.chain_breaks()


async def test_a_row_put_at_the_end_is_found(log: Damaged):
    await log.sql(f"INSERT INTO events SELECT position + 1, {FORGED} ORDER BY position DESC LIMIT 1")
    assert first(await log.problems()) == ("inserted", log.head + 1)
    assert await log.chain_breaks() == [log.head + 1]


async def _shift(log: Damaged, begin: int, by: int) -> None:
    await log.sql("UPDATE events SET position = position + 10000 WHERE position >= $1", begin)
    await log.sql("UPDATE events SET position = position - 10000 + $1 WHERE position > 10000", by)


PAIRS = ((20, 21), (20, 40), (1, 30), (-2, -1))


@pytest.mark.parametrize("pair", PAIRS)
async def test_two_rows_that_changed_places_are_found(log: Damaged, pair: tuple[int, int]):
    one, other = (at(log, place) for place in pair)
    for old, new in ((one, 10_001), (other, one), (10_001, other)):
        await log.sql("UPDATE events SET position = $2 WHERE position = $1", old, new)
    problems = await log.problems()
    assert first(problems) == ("moved", one), problems
    assert f"positions {one} and {other} were swapped" in problems[0].message
    assert {one, other} <= set(await log.chain_breaks())


async def test_two_rows_that_changed_what_they_hold_are_found(log: Damaged):
    rows = await log.rows()
    one, other = (next(r for r in rows if word in r.data) for word in ("pack", "sorry"))
    for row, data in ((one, other.data), (other, one.data)):
        await log.sql("UPDATE events SET data = $2::text::json WHERE position = $1", row.position, data)
    problems = await log.problems()
    assert first(problems) == ("moved", one.position), problems
    assert "the data of the rows" in problems[0].message


def _richer(type_name: str, data: str) -> str:
    return data.replace('"amount":20', '"amount":90') if type_name == "CreditsGranted" else data


async def test_a_rewritten_tail_is_told_by_cursors_and_checkpoints(log: Damaged):
    rows = await log.rows()
    changed = next(row.position for row in rows if '"amount":20' in row.data)
    await log.rewrite(0, _richer)
    assert await log.chain_breaks() == []
    problems = await log.problems(KEY.public)
    kind, position = first(problems)
    assert (kind, position) == ("rewritten", log.head), problems
    before = int(problems[0].message.split("after position ")[1].split()[0])
    assert before < changed <= log.head  # the first checkpoint still fits, and says where it began


async def test_a_wholly_rewritten_log_is_told_by_a_signed_checkpoint_alone(log: Damaged):
    await log.rewrite(0, lambda _, data: data + " ")
    for table in ("cursors", "snapshots"):
        await log.sql(f"UPDATE {table} c SET hash = e.hash FROM events e WHERE e.position = c.position")
    problems = await log.problems(KEY.public)
    assert [p.kind for p in problems] == ["rewritten"], problems
    assert "after position 0" in problems[0].message
    assert "signed checkpoint number 1" in problems[0].message


async def test_what_is_written_anew_with_all_that_remembers_it_is_not_found_here(log: Damaged):
    """Said plainly: without a checkpoint kept elsewhere, or the public key, this cannot be told."""
    start = """UPDATE events SET type = 'SystemStarted', data =
        '{"process":"log","version":"1","commit":"","settings":""}' WHERE stream = 'system-log'"""
    await log.sql(start)  # the log states nothing any more
    await log.rewrite(0, lambda _, data: data + " ")
    for table in ("cursors", "snapshots"):
        await log.sql(f"UPDATE {table} c SET hash = e.hash FROM events e WHERE e.position = c.position")
    await log.sql("DELETE FROM checkpoints")
    await log.sql("ALTER TABLE events ENABLE TRIGGER ALL")
    assert await log.problems(KEY.public) == []
    assert await log.chain_breaks() == []
