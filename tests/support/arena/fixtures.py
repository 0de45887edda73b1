"""Fixtures for scenarios in the arena; a conftest.py imports them."""

import asyncio
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.local.postgres import EmbeddedPostgres
from tests.support import servers
from tests.support.arena import seed
from tests.support.arena.arena import Arena


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """This test's chances."""
    return seed.dice(request.node.nodeid)


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Where an arena puts what is to be read when the test fails."""
    title = f"the arena, {seed.VARIABLE}={seed.chosen()}"
    return lambda words: request.node.add_report_section("call", title, words)


@pytest.fixture
def arena(
    database_url: str, tmp_path: Path, dice: random.Random, note: Callable[[str], None]
) -> Iterator[Arena]:
    """An arena on a database of its own, with its own Valkey. Open it."""
    with servers.own_valkey(tmp_path) as valkey:
        yield Arena(tmp_path, database_url, valkey, dice, note)


@pytest.fixture
def arena_of_its_own(
    own_postgres: EmbeddedPostgres, tmp_path: Path, dice: random.Random, note: Callable[[str], None]
) -> Iterator[Arena]:
    """An arena whose Postgres may be killed too."""
    url = asyncio.run(servers.migrated(own_postgres))
    with servers.own_valkey(tmp_path) as valkey:
        yield Arena(tmp_path, url, valkey, dice, note)
