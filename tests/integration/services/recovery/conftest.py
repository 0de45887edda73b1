"""A story: a world at n + 50, and a dump of n to put back under it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ledger.checkpoints.checkpoint import Checkpoint
from projections.checkpoints import make_checkpoint
from services.platform.settings import Settings
from services.recovery.checkpoint_files import keep_note
from tests.integration.services.recovery.world import KEY, Dump, Story, World, everything_published
from tests.support.servers import SessionPostgres
from tests.support.waiting import eventually


@pytest.fixture
async def dump(postgres: SessionPostgres, database_url: str) -> AsyncIterator[Dump]:
    dump = Dump(postgres, database_url)
    yield dump
    await dump.drop()


@pytest.fixture
async def story(settings: Settings, dump: Dump, tmp_path: Path) -> AsyncIterator[Story]:
    folder = tmp_path / "kept"
    world = await World(settings, KEY, folder).start()
    n = await world.play("before-", 40)
    await world.caught_up()
    await world.close()
    await dump.take()
    world = await World(settings, KEY, folder).start()
    assert await world.play("after-", 30) >= n + 50
    await world.caught_up()
    await eventually(lambda: everything_published(world), what="everything is published")
    made = await make_checkpoint(world.ledger, KEY, program="0.1.0")
    assert made is not None and isinstance(made.statement, Checkpoint)
    keep_note(folder, made.note)
    await world.caught_up()
    await eventually(lambda: everything_published(world), what="everything is published")
    yield Story(world, n, made.statement, made.place)
    await world.close()
