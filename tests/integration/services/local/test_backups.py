"""Backup and point-in-time restore on a real Postgres that archives as docker-compose.yml tells it to."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from prometheus_client import REGISTRY

from ledger.log.ledger import Ledger
from projections.verify.run import check_ledger
from services.backup.repository import Repository, new_label
from services.backup.restore import choose, restore_beside
from services.backup.stored_files import own_like
from services.backup.take import take
from services.cli import connections
from services.cli.main import app
from services.local.data_dir import DataFolder
from services.local.postgres import EmbeddedPostgres
from services.maintenance.gauges import measure_wal_archive
from services.migrations import migrate
from services.platform.blob_stores import open_blobs
from services.platform.blobs import one_chunk
from services.platform.settings import Settings, load_settings
from tests.support.cli_runner import CliRunner, Result
from tests.support.compose import load
from tests.support.s3_servers import KEY, missing, running
from tests.support.servers import OPERATOR, fresh_cluster, short_folder
from tests.support.traffic import Traffic
from tests.support.waiting import eventually

IN_COMPOSE = {
    "/usr/local/lib/neurocards/archive_wal.sh": "archive_wal.sh",
    "/backups/wal": "wal",
}


def archiving(repository: Repository) -> dict[str, str]:
    """What the file tells its Postgres, with its paths translated."""
    words = load()["services"]["postgres"]["command"]
    options = dict(word.split("=", 1) for word in words if "=" in word)
    for path, name in IN_COMPOSE.items():
        assert path in options["archive_command"]
        options["archive_command"] = options["archive_command"].replace(path, str(repository.root / name))
    return {**options, "wal_level": "replica", "max_wal_senders": "4", "full_page_writes": "on"}


class Place:
    """A data folder with a Postgres that archives, and a backup folder."""

    def __init__(self, root: Path) -> None:
        self.folder = DataFolder(root / "data")
        self.folder.prepare()
        fresh_cluster(self.folder.postgres)
        self.repository = Repository(root / "backups")
        self.repository.prepare()
        self.server = self.postgres(self.folder.postgres, "live", archiving(self.repository))
        self.server.start()

    def postgres(self, data: Path, name: str, options: dict[str, str]) -> EmbeddedPostgres:
        sockets = self.folder.run / name
        sockets.mkdir(exist_ok=True)
        sockets.chmod(0o711)
        return EmbeddedPostgres(data, sockets, self.folder.logs / name, durable=False, options=options)

    @property
    def settings(self) -> Settings:
        return load_settings(
            database_url=self.server.url("neurocards"),
            data_dir=self.folder.root,
            backup_dir=self.repository.root,
        )

    async def command(self, *words: str, **more: str) -> Result:
        """`neurocards backup …`, in this process, with more settings."""
        env = more | {
            "DATABASE_URL": self.server.url("neurocards"),
            "NEUROCARDS_DATA_DIR": str(self.folder.root),
            "BACKUP_DIR": str(self.repository.root),
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connections, "configure_command_logging", lambda *_: None)
            return await asyncio.to_thread(CliRunner().invoke, app, ["backup", *words], env=env)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    with short_folder() as root:
        place = Place(root)
        connection = await asyncpg.connect(place.server.url())
        await connection.execute("CREATE DATABASE neurocards")
        await connection.close()
        await migrate(place.server.url("neurocards"))
        yield place
        place.server.stop()


async def play(url: str, prefix: str) -> int:
    """Some traffic; the position it has come to."""
    async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool, Ledger(url, pool) as ledger:
        await Traffic(ledger, prefix=prefix).play(20)
        return (await ledger.read.head()).position


async def head(url: str) -> int:
    """Where the log ends; it must hold."""
    async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
        assert await check_ledger(pool) == []
        return int(await pool.fetchval("SELECT max(position) FROM events"))


def later_than(label: str) -> bool:
    return new_label() > label


async def archived(place: Place) -> None:
    """Wait until all WAL there is now has come to the archive."""
    connection = await asyncpg.connect(place.server.url())
    name = await connection.fetchval("SELECT pg_walfile_name(pg_switch_wal())")

    async def come() -> bool:
        """By Postgres's own word, which comes after the file."""
        last = await connection.fetchval("SELECT last_archived_wal FROM pg_stat_archiver")
        return last is not None and last >= name

    try:
        await eventually(come, what=f"{name} in the archive")
    finally:
        await connection.close()


async def test_back_to_a_moment_between_two_backups_in_both_ways(place: Place) -> None:
    url = place.server.url("neurocards", OPERATOR)
    await play(url, "before-")
    taken = await take(place.settings, place.repository, keep=1, progress=lambda *_: None, sync=False)
    assert taken.archiving
    kept = await play(url, "kept-")
    await play(url, "lost-")

    # For a Postgres that others start: the data folder is prepared, and recovers when it starts.
    await archived(place)
    elsewhere = place.folder.root / "elsewhere"
    elsewhere.mkdir()
    own_like(elsewhere, place.folder.postgres)
    done = await place.command("restore", "--to", str(kept), "--into", str(elsewhere), "--yes", "-o", "json")
    assert done.exit_code == 0, done.stderr
    moment = datetime.fromisoformat(json.loads(done.stdout)[0]["to"])
    other = place.postgres(elsewhere, "other", {"hot_standby": "off"})
    other.start()
    assert await head(other.url("neurocards")) == kept
    other.stop()

    # For `neurocards up`: recovered beside the live one, which then ends and starts on it.
    backups = place.repository.backups()
    found = await restore_beside(
        place.repository, choose(backups, None, None), place.folder, moment, {}, lambda _: None
    )
    assert found.position == kept and found.timeline > 1
    lost = await play(url, "lost-too-")  # the live one goes on until it starts again
    place.server.start()
    assert await head(url) == kept
    (before,) = place.folder.root.glob("postgres.before-*")
    old = place.postgres(before, "other", {})
    old.start()
    assert await head(old.url("neurocards")) == lost
    old.stop()
    await play(url, "on-")


async def test_damage_is_found_and_named(place: Place) -> None:
    url = place.server.url("neurocards", OPERATOR)
    blob = place.folder.root / "blobs/photos/a.jpg"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"photo")
    await play(url, "a-")
    assert (await place.command("take", "--keep", "2")).exit_code == 0
    await play(url, "b-")
    await archived(place)
    backup, repository = place.repository.find(None), place.repository
    done = await place.command("check", "--deep", "-o", "json")
    assert done.exit_code == 0, done.stdout + done.stderr
    parts = [row["part"] for row in json.loads(done.stdout)]
    assert parts == ["database", "files", "wal", "restored"]

    (row,) = json.loads((await place.command("list", "-o", "json")).stdout)
    assert (row["label"], row["files"]) == (backup.label, 1) and row["reaches"] > row["ended_at"]

    folder = repository.folder(backup.label)
    (folder / "files/blobs/photos/a.jpg").write_bytes(b"phot0")
    version = folder / "postgres/PG_VERSION"
    version.write_text("17\n")
    repository.wal_path(repository.wal_names()[-1]).write_bytes(b"damaged")
    done = await place.command("check", "-o", "json")
    assert done.exit_code == 3, done.stderr
    database, files, wal = (row["result"] for row in json.loads(done.stdout))
    assert "PG_VERSION" in database
    assert files == "blobs/photos/a.jpg is not what was backed up"
    assert "cannot be read" in wal


async def test_an_archive_that_is_away_is_told_and_loses_nothing(place: Place) -> None:
    url, away = place.server.url("neurocards"), place.repository.root / "away"

    def since() -> tuple[float, float]:
        """When archiving last worked, and when it last failed."""
        names = (
            "neurocards_wal_archived_timestamp_seconds",
            "neurocards_wal_archive_failed_timestamp_seconds",
        )
        worked, failed = (REGISTRY.get_sample_value(name) or 0 for name in names)
        return worked, failed

    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        await archived(place)
        place.repository.wal.rename(away)
        await pool.execute("CREATE TABLE more ()")
        name = await pool.fetchval("SELECT pg_walfile_name(pg_switch_wal())")

        async def told() -> bool:
            await measure_wal_archive(pool)
            worked, failed = since()
            return failed > worked > 0

        await eventually(told, what="the failure is told")
        away.rename(place.repository.wal)
        await pool.execute("CREATE TABLE even_more ()")
        await pool.execute("SELECT pg_switch_wal()")  # which makes Postgres look again at once
        await eventually(
            lambda: place.repository.wal_path(name).exists(), what=f"{name} is archived after all"
        )


@pytest.mark.s3
@pytest.mark.skipif(bool(missing()), reason=missing() or "")
async def test_photos_and_videos_of_a_bucket_come_along_and_back(place: Place, tmp_path: Path) -> None:
    """With a bucket that was emptied by mistake; while it is away no backup is taken as if it were whole."""
    with running(tmp_path) as server:
        known = {"BLOBS_URL": server.url("media", "cards"), "BLOBS_KEY": KEY}
        bucket = open_blobs(load_settings(blobs_url=known["BLOBS_URL"], blobs_key=KEY))
        files = {f"videos/j-{number}.mp4": f"video {number}".encode() for number in range(20)}
        for key, data in files.items():
            await bucket.put(key, one_chunk(data), size_bytes_max=100)
        for _ in range(2):
            taken = await place.command("take", "-o", "json", **known)
            assert taken.exit_code == 0 and json.loads(taken.stdout)[0]["files"] == 20, taken.stderr
            newest = place.repository.backups()[-1].label
            await eventually(partial(later_than, newest))  # a backup is named by its second
        one, two = place.repository.backups()
        path = "files/blobs/videos/j-7.mp4"
        assert (place.repository.folder(one.label) / path).samefile(place.repository.folder(two.label) / path)
        assert (await place.command("check", **known)).exit_code == 0
        for key in files:
            await bucket.delete(key)

        elsewhere = place.folder.root / "elsewhere"
        elsewhere.mkdir()
        own_like(elsewhere, place.folder.postgres)
        done = await place.command("restore", "--into", str(elsewhere), "--yes", "--blobs", **known)
        assert done.exit_code == 0 and "20 files put back" in done.stderr, done.stderr
        assert {found.key: await bucket.get(found.key) async for found in bucket.all()} == files

        server.kill()
        failed = await place.command("take", **known)
        assert failed.exit_code == 1 and "s3://media/cards does not answer" in failed.stderr
        bare = await place.command("take", "--no-blobs", "-o", "json", **known)
        assert bare.exit_code == 0 and json.loads(bare.stdout)[0]["files"] == 0
        assert len(place.repository.backups()) == 3
