"""The doctor uses what is used: what only answers, and does not work, is not "ok"."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.cli.doctor import Check
from services.cli.doctor.servers import check_database, check_redis_server
from services.cli.doctor.trials import check_files
from services.local.binaries import find_valkey
from services.local.processes import free_port, port_is_free
from services.platform.blobs import FolderBlobs
from services.platform.redis import command_client, require_redis
from services.platform.redis_keys import PREFIX
from services.platform.settings import load_settings
from tests.support.s3_servers import KEY, READER, missing, running
from tests.support.services import ServiceProcess
from tests.support.waiting import eventually_now

KINDS: dict[str, tuple[str, ...]] = {
    "sentinel": ("--sentinel",),
    "cluster": ("--cluster-enabled", "yes"),
    "replica": ("--replicaof", "127.0.0.1 1"),
}


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


async def test_what_works_is_tried_and_leaves_nothing(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = load_settings(database_url=database_url, redis_url=redis_url, data_dir=tmp_path)
    (tmp_path / "blobs").mkdir()
    found = by_name(
        await check_database(settings) + await check_redis_server(settings) + await check_files(settings)
    )
    for name in ("login", "commit", "prepared statements", "LISTEN", "Redis streams", "files"):
        assert found[name].state == "ok", found[name]
    assert not [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    async with command_client(settings) as client:
        assert await client.keys(f"{PREFIX}doctor:*") == []


@pytest.fixture
def strange(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A Valkey that is not what is needed."""
    port, config = free_port("127.0.0.1"), tmp_path / "valkey.conf"
    config.write_text(f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\nsave ''\n")
    server = subprocess.Popen([find_valkey(), config, *KINDS[request.param]], stdout=subprocess.DEVNULL)
    try:
        eventually_now(lambda: not port_is_free("127.0.0.1", port))
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize(
    ("strange", "words"),
    [
        ("sentinel", "write redis+sentinel://HOST,HOST,HOST/NAME"),
        ("cluster", "a cluster, which is not spoken"),
        ("replica", "only be read"),
    ],
    indirect=["strange"],
)
async def test_a_redis_of_another_kind_is_named(strange: str, words: str, tmp_path: Path) -> None:
    """By the doctor, and by a process that would start and do nothing; a replica may be promoted."""
    settings = load_settings(redis_url=strange)
    (found,) = await check_redis_server(settings)
    assert found.state == "fail" and words in found.advice
    if "replica" in found.advice:
        await require_redis(settings)
        return
    relay = ServiceProcess(
        "relay", tmp_path, {"REDIS_URL": strange, "DATABASE_URL": "postgresql://127.0.0.1:1/x"}
    )
    relay.start(wait_s=None)
    try:
        assert relay.wait_ended(60) == 1 and words in relay.log
    finally:
        relay.kill()


async def test_a_login_without_time_limits_is_told(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a pooler that ignores what a client asks for."""
    real: Any = asyncpg.connect

    async def ignoring(*arguments: Any, server_settings: Any = None, **options: Any) -> Any:
        return await real(*arguments, server_settings={"synchronous_commit": "on"}, **options)

    monkeypatch.setattr(asyncpg, "connect", ignoring)
    found = by_name(await check_database(load_settings(database_url=database_url)))["login"]
    assert found.state == "warn" and "statement_timeout is " in found.found


async def test_a_full_or_closed_folder_is_told(tmp_path: Path) -> None:
    assert (await check_files(load_settings(data_dir=tmp_path)))[0].state == "ok", "not there before a start"
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / ".partial").write_text("in the way")
    (found,) = await check_files(load_settings(data_dir=tmp_path))
    assert found.state == "fail" and "cannot be kept" in found.found


@pytest.mark.s3
@pytest.mark.skipif(bool(missing()), reason=missing() or "")
async def test_a_bucket_is_used_with_both_keys(tmp_path: Path) -> None:
    with running(tmp_path) as server:

        async def look(key: str, reader: str) -> list[tuple[str, str]]:
            url = server.url("media", "cards")
            settings = load_settings(data_dir=tmp_path, blobs_url=url, blobs_key=key, blobs_read_key=reader)
            return [(check.state, check.found) for check in await check_files(settings)]

        (files, reading) = await look(KEY, READER)
        assert files == ("ok", "stored, read and deleted")
        assert reading == ("ok", "read, and not deleted, with BLOBS_READ_KEY")
        assert (await look(KEY, KEY))[1] == ("warn", "BLOBS_READ_KEY may delete")
        assert (await look(KEY, "READER:wrong"))[1][0] == "fail"
        ((state, found),) = await look(READER, READER)
        assert state == "fail" and "s3://media/cards refuses (AccessDenied)" in found


async def test_a_store_that_overwrites_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a server that does not know If-None-Match."""
    real = FolderBlobs.put

    async def overwriting(self: FolderBlobs, key: str, chunks: Any, *, size_bytes_max: int) -> Any:
        await self.delete(key)
        return await real(self, key, chunks, size_bytes_max=size_bytes_max)

    monkeypatch.setattr(FolderBlobs, "put", overwriting)
    (tmp_path / "blobs").mkdir()
    (found,) = await check_files(load_settings(data_dir=tmp_path))
    assert found.state == "fail" and "are overwritten" in found.found
