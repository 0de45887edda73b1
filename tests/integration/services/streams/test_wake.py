"""Hints between processes: each job of a message is called for, and reclaimers are."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from services.platform.periodic import end_tasks
from services.platform.redis import command_client
from services.platform.settings import Settings
from services.streams import wake
from tests.support.waiting import eventually


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    async with command_client(settings) as client:
        yield client


async def test_every_job_of_a_message_is_called_for(redis: Redis):
    heard: list[str] = []
    listening = asyncio.create_task(wake.listen(redis, heard.append, lambda: heard.append("reclaim")))

    async def listens() -> bool:
        await wake.wake_reclaimers(redis)
        return bool(heard)

    await eventually(listens)
    await wake.wake_jobs(redis, ["j1", "j2 with a space", "j3"])
    await wake.wake_jobs(redis, ["j4"])
    await eventually(lambda: "j4" in heard)
    assert [job for job in heard if job != "reclaim"] == ["j1", "j2 with a space", "j3", "j4"]
    await end_tasks([listening])
