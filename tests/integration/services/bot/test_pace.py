"""The pace of answers is the one that all processes share, and needs no Redis."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from services.adapters.telegram.limits import TelegramLimits
from services.platform.redis import command_client
from services.platform.settings import load_settings
from tests.integration.services.bot.people import CREATE, BotWorld, Visitor
from tests.support.waiting import eventually


@pytest.fixture
async def redis(world: BotWorld) -> AsyncIterator[Redis]:
    async with command_client(load_settings(redis_url=world.valkey.url())) as redis:
        yield redis


async def test_a_chat_that_another_process_was_told_to_leave_alone_is_left_alone(
    visitor: Visitor, other_visitor: Visitor, world: BotWorld, redis: Redis
) -> None:
    await visitor.enter()
    await other_visitor.enter()
    await TelegramLimits(redis).pause(visitor.chat.user_id, 3600)
    await visitor.say("/menu")
    await eventually(lambda: _begun(world, visitor))
    await other_visitor.say("/menu")
    await other_visitor.sees(CREATE)
    assert visitor.heard == []
    await redis.delete(f"{{neurocards}}:telegram:chat:{visitor.chat.user_id}")
    await visitor.sees(CREATE)


async def _begun(world: BotWorld, visitor: Visitor) -> bool:
    rows = await world.rows("SELECT begun FROM updates WHERE chat_id = $1", visitor.chat.user_id)
    return any(row[0] for row in rows)
