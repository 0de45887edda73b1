"""Pools and connections leave a database that can only be read, and say what is wrong."""

import asyncpg
import pytest

from services.cli.resolve_account import resolve_account
from services.local.postgres import EmbeddedPostgres
from services.platform.database import connect, create_pool
from services.platform.errors import StartError
from services.platform.settings import Settings, load_settings
from tests.support.servers import migrated
from tests.support.waiting import eventually

WRITE = "INSERT INTO accounts (account, telegram_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"


async def test_whoever_would_write_does_not_begin(settings: Settings, owner):
    await owner.execute(WRITE, "a", 7)
    database = await owner.fetchval("SELECT current_database()")
    await owner.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    with pytest.raises(StartError, match="can only be read"):
        await create_pool(settings, "test")
    with pytest.raises(StartError, match="can only be read"):
        await connect(settings, "test")
    connection = await connect(settings, "test", writes=False)
    assert await connection.fetchval("SHOW synchronous_commit") == "on"
    await connection.close()
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await resolve_account(settings, "7")  # a read of a person's data that cannot be noted is none


async def test_a_pool_leaves_sessions_that_turn_read_only(own_postgres: EmbeddedPostgres):
    url = await migrated(own_postgres)
    owner = await asyncpg.connect(own_postgres.url())
    settings = load_settings(database_url=url)
    async with await create_pool(settings, "test", max_size=2) as pool:
        await pool.execute(WRITE, "a", 1)
        pid = await pool.fetchval("SELECT pg_backend_pid()")
        await owner.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await owner.execute("SELECT pg_reload_conf()")
        await eventually(lambda: fails_to_write(pool, asyncpg.ReadOnlySQLTransactionError), 60)
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await pool.fetchval("SELECT 1")  # the session has told that it can only read
        with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
            await pool.fetchval("SELECT 1")
        await owner.execute("SET default_transaction_read_only = off")
        await owner.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await owner.execute("SELECT pg_reload_conf()")
        await eventually(lambda: writes(pool), 60)
        assert await pool.fetchval("SELECT pg_backend_pid()") != pid
    await owner.close()


async def fails_to_write(pool: "asyncpg.Pool[asyncpg.Record]", kind: type[Exception]) -> bool:
    """A session hears of the new setting with its next statement at the earliest."""
    try:
        await pool.execute(WRITE, "b", 2)
    except kind:
        return True
    return False


async def writes(pool: "asyncpg.Pool[asyncpg.Record]") -> bool:
    return not await fails_to_write(pool, asyncpg.TargetServerAttributeNotMatched)
