"""Unit tests start no server; one that needs a Redis has a fake one, which runs our Lua too."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Never

import fakeredis
import pytest
from redis.asyncio import Redis

from services.local.postgres import EmbeddedPostgres
from services.local.valkey import EmbeddedValkey

SERVERS = {"postgres", "_session_valkey", "own_postgres", "own_valkey"}
"""Fixtures that are a server."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        needed = SERVERS & set(getattr(item, "fixturenames", ()))
        if needed and item.path.is_relative_to(Path(__file__).parent):
            raise pytest.UsageError(f"{item.nodeid} needs {needed}: it belongs in tests/integration")


@pytest.fixture(autouse=True, scope="module")
def no_servers() -> Iterator[None]:
    """Neither Postgres nor Valkey starts, whoever asks."""

    def refuse(server: object) -> Never:
        raise AssertionError("a unit test starts no server")

    with pytest.MonkeyPatch.context() as patch:
        for server in (EmbeddedPostgres, EmbeddedValkey):
            patch.setattr(server, "start", refuse)
        yield


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    """An empty Redis in this process."""
    async with fakeredis.FakeAsyncRedis() as redis:
        yield redis
