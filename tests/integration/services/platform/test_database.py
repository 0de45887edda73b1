"""Connections of a process beside its appender: the login's limits for appends are not theirs."""

import asyncio

import asyncpg

from services.cli.connections import auditor_pool, reading_settings
from services.maintenance.verification import Verification
from services.platform.database import create_pool
from services.platform.settings import load_settings


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
        assert await pool.fetchval(shown) == await reading.fetchval(shown) == "0"
