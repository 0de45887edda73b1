"""A connection that was lost beneath its user is an error of Redis, whatever the event loop calls it."""

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from services.local.valkey import EmbeddedValkey
from services.platform.redis import blocking_client, command_client
from services.platform.settings import load_settings


def test_a_transport_that_was_closed_is_a_lost_connection(own_valkey: EmbeddedValkey) -> None:
    settings = load_settings(redis_url=own_valkey.url())

    async def lose(client: Redis) -> bool:
        """What the kernel's timeout does to a connection whose other end is cut off."""
        async with client:
            connection = await client.connection_pool.get_connection()
            connection._writer.transport.abort()
            with pytest.raises(RedisConnectionError):
                while True:  # until the loop has closed it
                    await connection.send_command("PING")
            await client.connection_pool.release(connection)
            return bool(await client.ping())

    assert uvloop.run(lose(command_client(settings)))
    assert uvloop.run(lose(blocking_client(settings, 1)))
