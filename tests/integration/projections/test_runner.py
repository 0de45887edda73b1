"""Applying to the tables: once, in order, all or nothing."""

import asyncio

import asyncpg
import pytest
from msgspec.structs import replace

from events.envelope import GENESIS
from events.errors import CodecError, UnknownEventTypeError
from ledger.errors import IntegrityError
from projections.engine import cursors, runner
from projections.engine.errors import ProjectionNotFoundError, UnfoldableEventError
from projections.engine.registry import PROJECTIONS
from projections.engine.runner import Runner
from projections.engine.state_root import build
from tests.integration.ledger.test_forged import charge, failed, queued, refund
from tests.integration.projections.conftest import view_equals_log
from tests.support.arena.processes import own_login
from tests.support.hand_made import Made, append
from tests.support.history import rehashed
from tests.support.state_roots import state_root
from tests.support.traffic import Traffic

KINDS = ["balances", "daily"]
"""One with a row per stream, and one whose rows are made of many."""


async def test_the_view_shows_the_struct_of_the_row(traffic: Traffic, pool, catch_up, ledger):
    await traffic.play(20)
    await catch_up()
    for name, projection in PROJECTIONS.items():
        rows = await pool.fetch(f"SELECT * FROM {name}")
        _, expected = await build(ledger.read, name, 10**9)
        assert {row[0]: projection.from_columns(row.values()) for row in rows} == expected


async def test_the_tables_columns_are_the_fields_of_the_row(owner):
    for name, projection in PROJECTIONS.items():
        columns = await owner.fetch(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_name = $1 ORDER BY ordinal_position",
            f"{name}_v1",
        )
        assert tuple(row["column_name"] for row in columns) == projection.columns


@pytest.mark.parametrize("name", KINDS)
async def test_given_anything_twice_it_applies_once(traffic: Traffic, pool, ledger, name: str):
    await traffic.play(20)
    log = await ledger.read.events_after(0)
    runner = Runner(pool, PROJECTIONS[name])
    half = len(log) // 2
    for start, end in (
        (0, half),
        (0, half),
        (0, half + 3),
        (half - 2, half + 1),
        (half, len(log)),
        (0, len(log)),
    ):
        await runner.apply(log[start:end])
    assert await runner.cursor() == log[-1].cursor
    assert await view_equals_log(pool, name)


async def test_a_batch_after_a_gap_is_not_applied_and_the_answer_says_where_to_read_on(
    traffic: Traffic, pool, ledger
):
    await traffic.play(20)
    log = await ledger.read.events_after(0)
    runner = Runner(pool, PROJECTIONS["balances"])
    await runner.apply(log[:5])
    assert await runner.apply(log[6:]) == log[4].cursor
    assert (await state_root(pool, "balances")).cursor == log[4].cursor
    assert await runner.apply(log[5:]) == log[-1].cursor


@pytest.mark.parametrize("name", KINDS)
async def test_many_runners_at_once_double_nothing(traffic: Traffic, pool, ledger, name: str):
    await traffic.play(40)
    log = await ledger.read.events_after(0)

    async def run(page: int) -> None:
        runner = Runner(pool, PROJECTIONS[name])
        cursor = await runner.cursor()
        while cursor.position < len(log):
            cursor = await runner.apply(log[cursor.position : cursor.position + page])

    await asyncio.gather(*(run(page) for page in (3, 5, 7, 11, 13, 17)))
    assert await view_equals_log(pool, name)


async def test_a_runner_that_dies_before_its_commit_leaves_nothing(traffic: Traffic, pool, ledger, owner):
    await traffic.play(20)
    log = await ledger.read.events_after(0)
    runner = Runner(pool, PROJECTIONS["job_status"])
    await runner.apply(log[:10])
    before = await state_root(pool, "job_status")
    await owner.execute(
        """CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
           CREATE TRIGGER die BEFORE UPDATE ON cursors FOR EACH ROW EXECUTE FUNCTION die()"""
    )
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await runner.apply(log[10:20])
    await owner.execute("DROP TRIGGER die ON cursors")

    assert await state_root(pool, "job_status") == before
    await runner.apply(log[10:])
    assert await view_equals_log(pool, "job_status")


@pytest.mark.parametrize("name", KINDS)
async def test_an_unknown_event_type_stops_with_a_clear_error_and_applies_nothing_of_the_batch(
    traffic: Traffic, pool, owner, ledger, name: str
):
    await traffic.play(10)
    await owner.execute(
        """INSERT INTO events (position, stream, version, type, data, recorded_at_us, hash)
           SELECT max(position) + 1, 'account-future', 1, 'CreditsTeleported', '{}', max(recorded_at_us), $1
           FROM events""",
        bytes(32),
    )
    log = await ledger.read.events_after(0)
    runner = Runner(pool, PROJECTIONS[name])
    fresh = [*log[:-1], rehashed(log)[-1]]
    await owner.execute("ALTER TABLE events DISABLE TRIGGER events_append_only")
    await owner.execute("UPDATE events SET hash = $1 WHERE position = $2", fresh[-1].hash, len(log))
    await runner.apply(fresh[:5])

    with pytest.raises(UnknownEventTypeError, match=rf"CreditsTeleported.*position {len(log)}.*upgrade"):
        await runner.apply(fresh[5:])
    assert await runner.cursor() == fresh[4].cursor
    assert await view_equals_log(pool, name)


async def test_what_no_read_model_can_hold_stops_it_until_a_person_says_how_to_read_it(
    traffic: Traffic, pool, ledger, database_url, catch_up, monkeypatch
):
    """A login may write what its types permit and nobody can decode, or what cannot stand where it does."""
    await traffic.play(20)
    await catch_up()
    hostile: dict[str, Made] = {
        "balances": ("account-x", "TermsAccepted", {"terms": 5}),
        "job_status": ("job-x", "VideoRated", {"account": "x", "stars": 5}),
        "error_stats": ("job-y", "JobFailed", {"by": "operator", "failure": {"error_class": 5}}),
    }
    bot = await asyncpg.connect(own_login(database_url, "bot"))
    await append(bot, *([made] for made in hostile.values()), [charge(), queued(model=5)])
    for name in hostile:
        with pytest.raises((CodecError, UnfoldableEventError), match="at position"):
            await catch_up(name)
    *seen, _, order = (await ledger.read.events_after(0))[-len(hostile) - 2 :]
    meant: dict[str, str | None] = {event.hash.hex(): None for event in seen}
    meant[order.hash.hex()] = order.data.replace('"model": 5', '"model": "5"')
    monkeypatch.setattr(runner, "READ_AS", meant)
    await catch_up()
    await append(bot, [failed("n1"), refund(job="n1")])  # recalls the order
    await bot.close()
    await traffic.play(10)
    await catch_up()
    assert all([await view_equals_log(pool, name) for name in PROJECTIONS])
    assert await pool.fetchval("SELECT model FROM job_status WHERE job = 'n1'") == "5"


async def test_events_that_the_log_does_not_hold_are_refused(traffic: Traffic, pool, ledger):
    """They chain to what was applied, but came from a stream whose log went back in time."""
    await traffic.play(10)
    log = await ledger.read.events_after(0)
    runner = Runner(pool, PROJECTIONS["balances"])
    await runner.apply(log[:5])
    forged = rehashed([replace(log[5], recorded_at_us=1)], after=log[4].cursor)
    with pytest.raises(IntegrityError, match="position 6 that the log does not hold"):
        await runner.apply(forged)
    assert await runner.cursor() == log[4].cursor


async def test_a_projection_that_applied_another_history_refuses_the_log(
    traffic: Traffic, pool, owner, ledger
):
    await traffic.play(10)
    log = await ledger.read.events_after(0)
    runner = Runner(pool, PROJECTIONS["balances"])
    await runner.apply(log[:5])
    await owner.execute("UPDATE cursors SET hash = $1 WHERE name = 'balances'", bytes(32))
    with pytest.raises(IntegrityError, match="does not follow"):
        await runner.apply(log[5:])
    with pytest.raises(IntegrityError, match="another event at position 5"):
        await runner.apply(log)


async def test_a_projection_without_a_cursor_says_what_to_do(pool, owner):
    await owner.execute("DELETE FROM cursors WHERE name = 'balances'")
    with pytest.raises(ProjectionNotFoundError, match="neurocards migrate"):
        await Runner(pool, PROJECTIONS["balances"]).cursor()


async def test_other_consumers_keep_their_place_the_same_way(traffic: Traffic, pool, ledger):
    await traffic.play(5)
    log = await ledger.read.events_after(0)
    await cursors.register(pool, "somebody")
    await cursors.register(pool, "somebody")
    async with pool.acquire() as connection, connection.transaction():
        place = await cursors.lock(connection, "somebody", log)
        assert (place.cursor, place.fresh) == (GENESIS, log)
        await cursors.move(connection, "somebody", place.version, log[-1].cursor)
    assert await cursors.where_is(pool, "somebody") == (1, log[-1].cursor)


async def test_auditors_read_the_views_and_change_nothing(owner):
    await owner.execute("SET ROLE neurocards_reader")
    await owner.fetch("SELECT * FROM audit.trial_balance")
    for name in PROJECTIONS:
        await owner.fetch(f"SELECT * FROM {name}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.execute(f"DELETE FROM {name}_v1")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await owner.execute("UPDATE cursors SET position = 0")
