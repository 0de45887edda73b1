"""The fixtures and the runtime that everything else stands on."""

from services.platform.database import create_pool
from services.platform.redis import blocking_client, check_redis, command_client
from services.platform.settings import load_settings
from tests.support import servers


async def test_a_test_has_a_migrated_database_of_its_own(database_url: str, postgres: object) -> None:
    pool = await create_pool(load_settings(database_url=database_url), "test")
    async with pool:
        assert await pool.fetchval("SELECT current_user") == servers.OPERATOR
        assert await pool.fetchval("SHOW timezone") == "UTC"
        assert await pool.fetchval("SHOW application_name") == "neurocards-test"
        assert await pool.fetchval("SELECT count(*) FROM events") == 0


async def test_redis_is_real_and_empty(redis_url: str) -> None:
    client = command_client(load_settings(redis_url=redis_url))
    async with client:
        assert await client.dbsize() == 0
        facts = await check_redis(client)
        assert facts["maxmemory-policy"] == "noeviction"
    blocking = blocking_client(load_settings(redis_url=redis_url), block_s=0.1)
    async with blocking:
        assert await blocking.xread({"nothing": "$"}, block=50) == []
