"""Logins get new passwords while they append: all connections are cut, nobody is restarted, none is lost."""

import asyncio
import contextlib
from collections.abc import Iterator
from itertools import count

import asyncpg
import pytest

from ledger import commands as c
from ledger.log.ledger import Ledger
from ledger.postgres import TRANSIENT
from services.local.data_dir import DataFolder
from services.local.databases import Databases
from services.migrations.logins import LOGINS, owner_connection, pass_files
from services.platform.database import create_pool
from services.platform.settings import load_settings
from tests.support import fork_server
from tests.support.servers import short_folder
from tests.support.services import clean_environment
from tests.support.waiting import eventually

CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'neurocards%'"


@pytest.fixture
def folder() -> Iterator[DataFolder]:
    with short_folder() as root:
        folder = DataFolder(root / "data")
        folder.prepare()
        yield folder


async def test_appending_goes_on_under_new_passwords(folder: DataFolder) -> None:
    settings = load_settings(data_dir=folder.root, redis_url="redis://nobody")
    databases = Databases(settings, folder)
    await databases.start()
    try:
        await databases.migrate()
        own = settings.replace(database_url=databases.login_url("bot"))
        async with await create_pool(own, "bot") as pool, Ledger(own.require_database_url(), pool) as ledger:
            opened: list[str] = []
            waited: list[Exception] = []

            async def open_accounts() -> None:
                for number in count(1):
                    command, done = c.OpenAccount(f"a{number}", "0" * 64), False
                    while not done:
                        try:
                            await ledger.execute(command, key=f"open:a{number}")
                            done = True
                        except TRANSIENT as error:
                            waited.append(error)
                    opened.append(command.account)

            opening = asyncio.create_task(open_accounts())
            await eventually(lambda: len(opened) > 20)
            before = pass_files(folder.root / "logins")
            pass_files(folder.root / "logins", LOGINS)  # who renews is killed between file and database
            async with owner_connection(databases.owner_url) as owner:
                await owner.fetch(CUT)
            await eventually(lambda: waited or opening.done())
            words = ("migrate", "--logins", str(folder.root / "logins"), "--renew", "all")
            env = clean_environment(DATABASE_OWNER_URL=databases.owner_url)
            done = await asyncio.to_thread(fork_server.neurocards, words, cwd=folder.root, env=env)
            assert done.returncode == 0 and "new passwords for neurocards_relay" in done.stderr, done.stderr
            async with owner_connection(databases.owner_url) as owner:
                await owner.fetch(CUT)
            seen = len(opened)
            await eventually(lambda: len(opened) > seen + 20 or opening.done())
            assert not opening.done()
            opening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await opening
            log = await pool.fetch("SELECT stream FROM events WHERE type = 'AccountOpened' ORDER BY position")
            assert [row["stream"] for row in log][: len(opened)] == [f"account-{name}" for name in opened]

        assert not set(before.values()) & set(pass_files(folder.root / "logins").values())
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(databases.login_url("bot"), password=before[LOGINS["bot"]])
    finally:
        await databases.stop()


@pytest.mark.parametrize("words", [("--renew", "web"), ("--logins", "x", "--renew", "nobody")])
def test_what_cannot_be_renewed_is_said(folder: DataFolder, words: tuple[str, ...]) -> None:
    done = fork_server.neurocards(("migrate", *words), cwd=folder.root, env=clean_environment())
    assert done.returncode == 2 and "takes relay, projector," in " ".join(done.stderr.split())
    assert not (folder.root / "x").exists()
