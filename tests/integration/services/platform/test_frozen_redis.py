"""A Redis that takes connections and says nothing is away like one that is not there: nobody waits for it."""

import os
import signal

import pytest
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from services.local.valkey import EmbeddedValkey
from services.maintenance.gauges import ConsumerLag
from services.platform import redis
from services.platform.settings import load_settings
from tests.integration.services.maintenance.conftest import metric


@pytest.fixture
def frozen(own_valkey: EmbeddedValkey):
    """A way to freeze it; it goes on at the end."""
    assert own_valkey.pid is not None
    pid = own_valkey.pid
    yield lambda: os.kill(pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGCONT)


async def test_a_command_on_a_connection_that_was_idle_ends_with_an_error(
    own_valkey: EmbeddedValkey, frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "COMMAND_TIMEOUT_S", 0.05)
    monkeypatch.setattr(redis, "CONNECT_TIMEOUT_S", 0.05)
    monkeypatch.setattr(redis, "ExponentialWithJitterBackoff", lambda **_: NoBackoff())
    async with redis.command_client(load_settings(redis_url=own_valkey.url())) as client:
        await client.ping()
        for connection in client.connection_pool._available_connections:
            connection.next_health_check = 0  # long ago
        frozen()
        with pytest.raises(RedisError):
            await client.get("x")


async def test_the_monitor_measures_what_it_can_meanwhile(
    own_valkey: EmbeddedValkey, frozen, pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "COMMAND_TIMEOUT_S", 3600)
    async with redis.command_client(load_settings(redis_url=own_valkey.url())) as client:
        lags = ConsumerLag(pool, client)
        await lags.run_once()
        before = metric("maintenance_redis_failures_total")
        frozen()
        monkeypatch.setattr("services.maintenance.gauges.REDIS_ANSWER_S", 0.1)
        await lags.run_once()
    assert metric("maintenance_redis_failures_total") == before + 1
