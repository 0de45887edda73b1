"""A Redis whose disk is full lives and reads, and refuses every write: an outage like any other."""

from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from structlog.testing import capture_logs

from tests.integration.services.relay.conftest import StartRelay
from tests.support.small_disk import SmallRedis, small_redis
from tests.support.traffic import Traffic
from tests.support.waiting import eventually


@pytest.fixture
async def small() -> AsyncIterator[SmallRedis]:
    async with small_redis() as small:
        yield small


@pytest.fixture
def redis(small: SmallRedis) -> Redis:
    return small.redis


def troubles() -> float:
    return REGISTRY.get_sample_value("neurocards_relay_troubles_total") or 0.0


@pytest.mark.parametrize("orders", [True, False], ids=["busy", "idle"])
async def test_the_outage_is_told_once_and_over_when_there_is_room(
    small: SmallRedis, start_relay: StartRelay, published, traffic: Traffic, orders: bool
) -> None:
    await start_relay(trim_every_s=0.1)
    await traffic.play(20)
    await published()
    with capture_logs() as logs:

        def told(event: str) -> list[str]:
            return [line["what"] for line in logs if line["event"] == event]

        await small.refuse_writes()
        before = troubles()
        if orders:
            await traffic.play(20)
        await eventually(lambda: troubles() >= before + 5, what="the relay to try again and again")
        assert told("trouble_met") == ["publishing"] and told("trouble_over") == []
        await small.make_room()
        assert (await published()).problems == []
        await eventually(lambda: told("trouble_over"))
        assert told("trouble_met") == ["publishing"]
