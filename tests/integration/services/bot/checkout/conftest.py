"""The sandbox, a bot and a notifier for the folder; each test brings its own people."""

import itertools
from collections.abc import Iterator

import httpx
import pytest

from services.local.valkey import EmbeddedValkey
from tests.integration.services.bot.checkout.buyer import Buyer
from tests.integration.services.bot.people import BotWorld, running_bot
from tests.support import servers

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
    with running_bot(postgres, folder, "notifier", ADMIN_IDS=str(ADMIN_ID)) as world:
        world.never_logged = ("Traceback",)  # alarms about money are errors in the log
        yield world


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
