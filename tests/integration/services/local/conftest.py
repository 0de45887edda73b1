"""A place with a Postgres that archives, and a folder for backups."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.migrations import migrate
from tests.support.backups import Place
from tests.support.servers import short_folder


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    with short_folder() as root:
        place = Place(root)
        connection = await asyncpg.connect(place.server.url())
        await connection.execute("CREATE DATABASE neurocards")
        await connection.close()
        await migrate(place.server.url("neurocards"))
        yield place
        place.server.stop()
