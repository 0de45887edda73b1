"""A bot process and a sandbox process for the folder; each test brings its own people."""

import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from services.local.valkey import EmbeddedValkey
from services.platform.database import create_pool
from services.platform.settings import Settings, load_settings
from services.rehearsal.chat_client import open_http
from tests.integration.services.bot.people import BotWorld, Visitor, running_bot
from tests.support import servers

_user_ids = itertools.count(700_001)


@pytest.fixture(scope="package")
def bot_world(
    postgres: servers.SessionPostgres,
    _session_valkey: EmbeddedValkey,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[BotWorld]:
    """The sandbox and the bot on databases of their own."""
    with running_bot(postgres, tmp_path_factory.mktemp("bot")) as world:
        yield world


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with open_http(120) as client:
        yield client


@pytest.fixture
def world(bot_world: BotWorld) -> Iterator[BotWorld]:
    """The bot, running; the test fails when the bot logged a traceback meanwhile."""
    before = len(bot_world.bot.log)
    yield bot_world
    log = bot_world.bot.log[before:]
    assert not any(words in log for words in bot_world.never_logged), log[-5000:]


@pytest.fixture
def visitor(world: BotWorld, http: httpx.AsyncClient) -> Visitor:
    """Somebody who was never here, with an English client."""
    return world.visitor(http, next(_user_ids))


@pytest.fixture
def other_visitor(world: BotWorld, http: httpx.AsyncClient) -> Visitor:
    """Somebody else, with a Russian client."""
    return world.visitor(http, next(_user_ids), "ru")


@pytest.fixture
async def settings(database_url: str) -> Settings:
    return load_settings(database_url=database_url)


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[Any]:
    async with await create_pool(settings, "test") as pool:
        yield pool
