"""A full disk: servers that end on it run again once there is room, and nobody has to start them."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from services.local.data_dir import DataFolder
from services.local.databases import Databases
from services.migrations.logins import owner_connection
from services.platform.redis import command_client
from services.platform.settings import load_settings
from tests.support.servers import short_folder
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.waiting import eventually


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with short_folder() as folder, small_disk(folder / "data", 250) as disk:
        yield disk


async def test_servers_that_ended_on_a_full_disk_run_again(disk: SmallDisk) -> None:
    folder = DataFolder(disk.folder)
    folder.prepare()
    settings = load_settings(data_dir=folder.root)
    databases, again = Databases(settings, folder), asyncio.Event()
    with capture_logs() as logs:

        def told(event: str) -> list[str]:
            return [line["server"] for line in logs if line["event"] == event]

        keeping = asyncio.create_task(databases.keep_running(again.set))
        try:
            await databases.start()
            await databases.migrate()
            disk.fill()
            os.kill(databases.pids()["postgres"], signal.SIGKILL)
            await eventually(lambda: told("server_not_started") or keeping.done())
            await asyncio.wait([keeping], timeout=3)  # several tries more, which say nothing
            assert (told("server_not_started"), keeping.done()) == (["Postgres"], False)
            disk.free()
            await asyncio.wait_for(again.wait(), 60)
            assert told("server_restarted") == ["Postgres"]
            async with owner_connection(databases.owner_url) as owner:
                assert await owner.fetchval("SELECT count(*) FROM events") == 0
            async with command_client(settings.replace(redis_url=databases.redis_url)) as redis:
                assert await redis.ping()
        finally:
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping
            await databases.stop()
