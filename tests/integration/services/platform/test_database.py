"""Connections of a process beside its appender: the login's limits for appends are not theirs."""

import asyncio

import asyncpg
import pytest

from ledger.postgres import Pool
from services.cli.connections import auditor_pool, reading_settings
from services.maintenance.verification import Verification
from services.platform import database
from services.platform.database import TRANSACTION_TIMEOUT, create_pool
from services.platform.settings import Settings, load_settings
from tests.support.waiting import eventually


async def test_a_walk_through_the_log_may_take_longer_than_an_append(database_url: str) -> None:
    login = database_url.replace("neurocards_operator@", "neurocards_maintenance@")
    shown = "SHOW transaction_timeout"
    bare = await asyncpg.connect(login)
    assert await bare.fetchval(shown) == "5s"
    await bare.close()
    settings = load_settings(database_url=login)
    async with await create_pool(settings, "test") as pool, auditor_pool(settings) as reading:
        for told in (
            Verification(settings, pool, asyncio.Event())._database.server_settings,
            reading_settings("neurocards_reader"),
        ):
            walk = await asyncpg.connect(login, server_settings=told)
            assert await walk.fetchval(shown) == "0"
            await walk.close()
        assert await pool.fetchval(shown) == TRANSACTION_TIMEOUT
        assert await reading.fetchval(shown) == "0"


async def test_what_a_process_holds_that_froze_between_two_messages_is_given_back(
    settings: Settings, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postgres waits for the rest of the statement and counts that as work: no other timeout ends it."""
    monkeypatch.setattr(database, "TRANSACTION_TIMEOUT", "1s")
    async with await create_pool(settings, "test", max_size=1) as frozen:
        held = await frozen.acquire()
        await held.execute("BEGIN; LOCK TABLE accounts")
        pid = held.get_server_pid()
        parse = b"\0SELECT 1\0\0\0"
        held._con._transport.write(b"P" + (len(parse) + 4).to_bytes(4, "big") + parse + b"H\0\0\0\x04")  # type: ignore[attr-defined]
        state = "SELECT state, wait_event FROM pg_stat_activity WHERE pid = $1"

        async def stands() -> bool:
            row = await pool.fetchrow(state, pid)
            return row is None or (row["state"], row["wait_event"]) == ("active", "ClientRead")

        await eventually(stands)
        await pool.execute("SET LOCAL lock_timeout = 0; LOCK TABLE accounts")
        frozen.terminate()
