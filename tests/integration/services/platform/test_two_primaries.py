"""An old primary came back beside the one that was promoted: nothing is appended there, reading goes on."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest

from ledger import commands as c
from ledger.errors import TwoPrimariesError
from ledger.log.primary import Primary, primary_of
from services.cli.commands.recover import recover_here
from services.cli.doctor import State
from services.cli.doctor.trials import try_database
from services.local.postgres import EmbeddedPostgres
from services.local.processes import free_port
from services.local.valkey import EmbeddedValkey
from services.migrations import migrate
from services.platform import process_ledger
from services.platform.database import connect, create_pool
from services.platform.primary_fence import PrimaryFence
from services.platform.primary_mark import PrimaryMark, refused_lately
from services.platform.process import Runtime, TaskFailedError, _exit_code
from services.platform.process_ledger import open_ledger, start_ledger
from services.platform.redis import command_client
from services.platform.settings import Settings, load_settings
from tests.support import servers
from tests.support.services import services_in
from tests.support.small_disk import small_redis
from tests.support.waiting import PATIENCE_S, eventually

HOST = "127.0.0.1"
REPLICATES = {"wal_level": "replica"}


class Pair(NamedTuple):
    """Settings that lead to the old primary and to the one that leads."""

    old: Settings
    new: Settings

    def told(self) -> dict[str, str]:
        return {"DATABASE_URL": str(self.old.database_url), "REDIS_URL": str(self.old.redis_url)}


@pytest.fixture
def pair(tmp_path: Path, own_valkey: EmbeddedValkey) -> Iterator[Pair]:
    """One log, and its copy that was promoted."""
    ports = [free_port(HOST), free_port(HOST)]
    with (
        servers.own_postgres(tmp_path, listen_addresses=HOST, port=str(ports[0]), **REPLICATES) as old,
        servers.short_folder() as folder,
    ):
        asyncio.run(_migrate(f"postgresql://postgres@{HOST}:{ports[0]}/postgres"))
        old.stop()
        data = folder / "data"
        subprocess.run(["cp", "-a", old.data, data], check=True)
        signal_file, owner = data / "recovery.signal", (data / "PG_VERSION").stat()
        signal_file.touch()
        os.chown(signal_file, owner.st_uid, owner.st_gid)
        options = {"listen_addresses": HOST, "port": str(ports[1]), "restore_command": "false", **REPLICATES}
        new = EmbeddedPostgres(data, folder, folder / "log", durable=False, options=options)
        try:
            old.start()
            new.start()
            asyncio.run(_promoted(f"postgresql://postgres@{HOST}:{ports[1]}/postgres"))
            urls = [f"postgresql://{servers.OPERATOR}@{HOST}:{port}/postgres" for port in ports]
            yield Pair(*(load_settings(database_url=url, redis_url=own_valkey.url()) for url in urls))
        finally:
            new.stop()


async def _migrate(url: str) -> None:
    await migrate(url)
    await servers.let_operator_own(url)


async def _promoted(url: str) -> None:
    connection = await asyncpg.connect(url)
    await eventually(lambda: connection.fetchval("SELECT NOT pg_is_in_recovery()"))
    await connection.close()


async def appended(settings: Settings, account: str) -> None:
    async with open_ledger(settings, "operator", mark=PrimaryMark) as (ledger, _):
        await ledger.execute(c.OpenAccount(account, "0" * 64), key=f"open:{account}")


async def test_nothing_is_appended_to_an_old_primary_and_reading_goes_on(pair: Pair, tmp_path: Path) -> None:
    await appended(pair.old, "before")  # nobody has told of another
    await appended(pair.new, "leads")
    with pytest.raises(TwoPrimariesError, match="timeline 1, and one of timeline 2 leads"):
        await appended(pair.old, "lost")
    async with await create_pool(pair.old, "test") as pool:
        assert await pool.fetchval("SELECT count(*) FROM events WHERE stream = 'account-lost'") == 0
    connection = await connect(pair.old, "doctor")
    said = {check.name: check for check in await try_database(pair.old, connection)}
    await connection.close()
    assert (said["primary"].state, said["commit"].state) == (State.fail, State.ok)
    with services_in(tmp_path / "services", pair.told()) as services:
        web = services.start("web", wait_s=None)
        assert web.wait_ended(PATIENCE_S) == 78
        assert "an old one has come back" in web.log and "Traceback" not in web.log
    async with command_client(pair.old) as redis:
        assert await refused_lately(redis)
        told: list[bool] = []

        def decide(rows: list[dict[str, str]], nothing_to_do: bool) -> None:
            """As `--dry-run` the first time: nothing is forgotten."""
            told.append(nothing_to_do)
            assert rows[-1]["part"] == "primary"
            if len(told) == 1:
                raise SystemExit

        with pytest.raises(SystemExit):
            await recover_here(pair.old, [], "login:op", "r", decide)
        with pytest.raises(TwoPrimariesError):
            await appended(pair.old, "lost")
        await recover_here(pair.old, [], "login:op", "r", decide)
        assert told == [False, False] and not await refused_lately(redis)
    await appended(pair.old, "right after all")


async def test_a_process_that_runs_ends_once_another_primary_leads(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_ledger, "LOOK_S", 0.05)
    with pytest.raises(TaskFailedError) as failed:
        async with Runtime(pair.old, "web") as runtime, AsyncExitStack() as stack:
            await stack.enter_async_context(start_ledger(pair.old, runtime, mark=PrimaryMark))
            await appended(pair.new, "leads")
            async with asyncio.timeout(PATIENCE_S):
                await runtime.wait()
    assert _exit_code(failed.value) == 78


async def test_another_host_of_the_url_tells_it_where_no_redis_does(pair: Pair) -> None:
    places = [str(settings.database_url).rpartition("@")[2].split("/")[0] for settings in pair]
    url = f"postgresql://{servers.OPERATOR}@{','.join([*places, f'{HOST}:9'])}/postgres"
    fence = PrimaryFence(url)
    async with await create_pool(pair.old, "test") as old, await create_pool(pair.new, "test") as new:
        first, second = await primary_of(old), await primary_of(new)
    assert first and second and (first.system, first.timeline, second.timeline) == (second.system, 1, 2)
    await fence(second)
    with pytest.raises(TwoPrimariesError):
        await fence(first)
    await fence(Primary(first.system + 1, 1))  # a cluster of its own


async def test_the_old_one_is_refused_also_where_redis_takes_no_writes() -> None:
    async with small_redis() as small:
        mark = PrimaryMark(load_settings(redis_url=small.url), "test")
        assert await mark.published(Primary(7, 2)) == 2
        await small.refuse_writes()
        assert await mark.published(Primary(7, 1)) == 2
