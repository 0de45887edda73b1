"""Random walks through the chat on a database: what its statements and an erasure do in any order."""

import asyncio
import random
from pathlib import Path

from ledger.log.ledger import Ledger
from services.platform.blobs import FolderBlobs
from services.platform.database import create_pool
from services.platform.settings import load_settings
from tests.support import servers
from tests.support.chat_walks import walk
from tests.support.chat_worlds import postgres_world


def walk_on_postgres(postgres: servers.SessionPostgres, folder: Path, seed: int) -> None:
    with postgres.database() as database_url:
        asyncio.run(_walk(database_url, folder, seed))


async def _walk(database_url: str, folder: Path, seed: int) -> None:
    dice = random.Random(seed)
    settings = load_settings(database_url=database_url, free_credits=5, admin_ids=dice.choice(("", "5")))
    async with await create_pool(settings, "test") as pool, Ledger(database_url, pool) as ledger:
        await walk(postgres_world(settings, pool, ledger, FolderBlobs(folder)), dice, f"seed {seed}")


def test_random_walks_on_a_database(postgres: servers.SessionPostgres, tmp_path: Path) -> None:
    for number in range(2):
        walk_on_postgres(postgres, tmp_path / str(number), 70_000 + number)
