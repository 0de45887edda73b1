"""The embedded servers keep their data, whatever kills whom, and never run twice on one folder."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import asyncpg
import pytest

from services.local import processes
from services.local.data_dir import DataFolder
from services.local.postgres import EmbeddedPostgres
from services.local.valkey import EmbeddedValkey
from services.platform.errors import StartError
from services.platform.redis import command_client
from services.platform.settings import load_settings
from tests.support.servers import short_folder
from tests.support.services import ROOT
from tests.support.waiting import eventually_now


@pytest.fixture
def folder() -> Iterator[DataFolder]:
    with short_folder() as root:
        folder = DataFolder(root / "data")
        folder.prepare()
        yield folder


@pytest.fixture
def postgres(folder: DataFolder) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder.postgres, folder.socket_folder(), folder.log_path("postgres"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey(folder: DataFolder) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(folder.valkey, folder.socket_folder(), folder.log_path("valkey"))
    server.start()
    yield server
    server.stop()


async def _value(server: EmbeddedPostgres, sql: str) -> object:
    connection = await asyncpg.connect(server.url(), timeout=60)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_postgres_is_durable_and_listens_to_nobody_else(postgres: EmbeddedPostgres) -> None:
    assert await _value(postgres, "SHOW fsync") == "on"
    assert await _value(postgres, "SHOW full_page_writes") == "on"
    assert await _value(postgres, "SHOW synchronous_commit") == "on"
    assert await _value(postgres, "SHOW listen_addresses") == ""
    assert await _value(postgres, "SHOW unix_socket_permissions") == "0700"


async def test_postgres_keeps_its_data_over_a_stop_and_a_kill(postgres: EmbeddedPostgres) -> None:
    await _value(postgres, "CREATE TABLE kept AS SELECT 1 AS n")
    postgres.stop()
    postgres.start()
    await _value(postgres, "INSERT INTO kept VALUES (2)")
    pid = postgres.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually_now(lambda: postgres.exit_code is not None)
    postgres.start()
    assert await _value(postgres, "SELECT count(*) FROM kept") == 2


async def test_a_postgres_that_outlived_its_guard_is_replaced(postgres: EmbeddedPostgres) -> None:
    await _value(postgres, "CREATE TABLE kept AS SELECT 1 AS n")
    old = postgres.pid
    assert old is not None and postgres.guard_pid is not None
    os.kill(postgres.guard_pid, signal.SIGKILL)
    eventually_now(lambda: postgres.exit_code is not None)
    assert processes.alive(old)
    postgres.start()
    assert not processes.alive(old) and postgres.pid != old
    assert await _value(postgres, "SELECT count(*) FROM kept") == 1


async def test_a_pid_file_with_the_number_of_another_process_does_not_block(
    postgres: EmbeddedPostgres,
) -> None:
    postgres.stop()
    stale = f"{os.getpid()}\n{postgres.data}\n1700000000\n5432\n\n\n  1 1\nready\n"
    (postgres.data / "postmaster.pid").write_text(stale)
    postgres.start()
    assert await _value(postgres, "SELECT 1") == 1


def test_a_half_made_data_folder_is_made_again(folder: DataFolder) -> None:
    half = folder.postgres.with_name("postgres.new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(
        folder.postgres, folder.socket_folder(), folder.log_path("postgres"), durable=False
    )
    server.start()
    try:
        assert (folder.postgres / "PG_VERSION").exists() and not half.exists()
    finally:
        server.stop()


def test_data_of_another_version_is_refused_with_a_way_out(folder: DataFolder) -> None:
    folder.postgres.mkdir()
    (folder.postgres / "PG_VERSION").write_text("9\n")
    with pytest.raises(StartError, match=r"made by Postgres 9.*NEUROCARDS_DATA_DIR"):
        EmbeddedPostgres(folder.postgres, folder.socket_folder(), folder.log_path("postgres")).start()


async def test_valkey_keeps_its_data_and_evicts_nothing(valkey: EmbeddedValkey) -> None:
    async with command_client(load_settings(redis_url=valkey.url())) as client:
        assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "noeviction"
        assert (await client.config_get("appendfsync"))["appendfsync"] == "everysec"
        await client.set("kept", "1")
    valkey.stop()
    valkey.start()
    async with command_client(load_settings(redis_url=valkey.url())) as client:
        assert await client.get("kept") == b"1"


def test_a_valkey_that_outlived_its_guard_is_replaced(valkey: EmbeddedValkey) -> None:
    old = valkey.pid
    assert old is not None and valkey.guard_pid is not None
    os.kill(valkey.guard_pid, signal.SIGKILL)
    eventually_now(lambda: valkey.exit_code is not None)
    assert processes.alive(old)
    valkey.start()
    assert not processes.alive(old) and valkey.pid != old


def test_servers_end_when_their_starter_is_killed(folder: DataFolder) -> None:
    program = f"""
import sys, time
from pathlib import Path
from services.local.data_dir import DataFolder
from services.local.postgres import EmbeddedPostgres
from services.local.valkey import EmbeddedValkey
folder = DataFolder(Path({str(folder.root)!r}))
servers = [EmbeddedPostgres(folder.postgres, folder.run, folder.log_path("p"), durable=False),
           EmbeddedValkey(folder.valkey, folder.run, folder.log_path("v"))]
for server in servers:
    server.start()
print(*(server.pid for server in servers), flush=True)
time.sleep(60)
"""
    starter = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert starter.stdout is not None
    pids = [int(word) for word in starter.stdout.readline().split()]
    assert len(pids) == 2 and all(processes.alive(pid) for pid in pids)
    starter.kill()
    starter.wait(60)
    starter.stdout.close()
    eventually_now(lambda: not any(processes.alive(pid) for pid in pids), what="servers to end")


def test_a_long_path_gets_its_sockets_elsewhere() -> None:
    with short_folder() as root:
        folder = DataFolder(root / ("long" * 40))
        folder.prepare()
        sockets = folder.socket_folder()
        assert not sockets.is_relative_to(folder.root)
        server = EmbeddedPostgres(folder.postgres, sockets, folder.log_path("postgres"), durable=False)
        server.start()
        server.stop()


def test_a_folder_has_one_holder(folder: DataFolder) -> None:
    assert not folder.in_use()
    with folder.lock():
        assert folder.in_use()
        with pytest.raises(StartError, match=rf"(?s)pid {os.getpid()}.*NEUROCARDS_DATA_DIR"), folder.lock():
            raise AssertionError("two holders")
    assert not folder.in_use()


def test_an_unusable_folder_is_named(folder: DataFolder) -> None:
    file = folder.root / "file"
    file.write_text("")
    with pytest.raises(StartError, match="NEUROCARDS_DATA_DIR"):
        DataFolder(file / "below").prepare()


def test_a_full_disk_is_said_before_anything_starts(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=7_000_000))
    with pytest.raises(StartError, match=f"{folder.root} has only 7 MB left, .* need 100 MB: free some"):
        folder.prepare()
