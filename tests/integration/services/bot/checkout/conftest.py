"""The sandbox, a bot and a notifier for the folder; each test brings its own people."""

import itertools
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from services.local.valkey import EmbeddedValkey
from tests.integration.services.bot.checkout.buyer import Buyer
from tests.integration.services.bot.people import BotWorld
from tests.support import servers
from tests.support.services import ServiceProcess, services_in

ADMIN_ID = 799_999
_user_ids = itertools.count(800_001)


@pytest.fixture(scope="package")
def bot_world(
    postgres: servers.SessionPostgres,
    _session_valkey: EmbeddedValkey,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[BotWorld]:
    """Everything between a seller and the provider of payments, on databases of its own."""
    folder = tmp_path_factory.mktemp("buying")
    with postgres.database() as database_url, servers.own_valkey(folder, durable=True) as valkey:
        env = {"DATABASE_URL": database_url, "REDIS_URL": valkey.url(), "LOG_FORMAT": "json"}
        with services_in(folder / "services", env) as services:
            sandbox = services.start("sandbox", SANDBOX_PORT=0)
            services.env["SANDBOX_URL"] = sandbox.facts["sandbox_url"]
            services.env["NEUROCARDS_DATA_DIR"] = folder / "data"
            services.env["ADMIN_IDS"] = f"anna={ADMIN_ID}"
            bot = ServiceProcess("bot", services.folder, services.env).start(wait_s=60)
            services.start("notifier")
            try:
                yield BotWorld(database_url, valkey, sandbox, bot)
            finally:
                bot.kill()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=120, trust_env=False) as client:
        yield client


@pytest.fixture
def world(bot_world: BotWorld) -> Iterator[BotWorld]:
    """The test fails when the bot logged a traceback meanwhile."""
    before = len(bot_world.bot.log)
    yield bot_world
    assert "Traceback" not in bot_world.bot.log[before:], bot_world.bot.log[before:][-5000:]


@pytest.fixture
async def buyer(world: BotWorld, http: httpx.AsyncClient) -> Buyer:
    """Somebody who has accepted the terms, with an English client."""
    buyer = Buyer(world, http, next(_user_ids))
    await buyer.enter()
    return buyer


@pytest.fixture
async def other_buyer(world: BotWorld, http: httpx.AsyncClient) -> Buyer:
    buyer = Buyer(world, http, next(_user_ids))
    await buyer.enter()
    return buyer


@pytest.fixture
async def admin(world: BotWorld, http: httpx.AsyncClient) -> Buyer:
    buyer = Buyer(world, http, ADMIN_ID)
    if not await world.rows("SELECT 1 FROM accounts WHERE telegram_id = $1", ADMIN_ID):
        await buyer.enter()
    return buyer
