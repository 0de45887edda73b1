"""A place with a Postgres that archives, and a folder for backups."""

from collections.abc import AsyncIterator

import pytest

from tests.support.backups import Place, placed
from tests.support.servers import short_folder


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    with short_folder() as root:
        async with placed(root) as place:
            yield place
