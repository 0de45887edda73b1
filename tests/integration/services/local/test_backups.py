"""Backup and point-in-time restore on a real Postgres that archives as docker-compose.yml tells it to."""

import json
import re
from datetime import datetime
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from prometheus_client import REGISTRY

from services.backup.restore import choose, restore_beside
from services.backup.stored_files import own_like
from services.backup.take import take
from services.maintenance.gauges import measure_wal_archive
from services.platform.blob_stores import open_blobs
from services.platform.blobs import one_chunk
from services.platform.settings import load_settings
from tests.support.backups import Place, archived, head, later_than, placed, play
from tests.support.s3_servers import KEY, missing, running
from tests.support.servers import OPERATOR, short_folder
from tests.support.small_disk import small_disk
from tests.support.waiting import eventually


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
    done = await place.command("check", "-o", "json")
    assert done.exit_code == 0, done.stdout + done.stderr
    assert [row["part"] for row in json.loads(done.stdout)] == ["database", "files", "wal"]

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


async def failed_last(pool: "asyncpg.Pool[asyncpg.Record]") -> bool:
    """Whether archiving has worked and failed since: the first condition of WalNotArchived."""
    await measure_wal_archive(pool)
    worked, failed = (
        REGISTRY.get_sample_value(f"neurocards_wal_{name}_timestamp_seconds") or 0
        for name in ("archived", "archive_failed")
    )
    return failed > worked > 0


async def test_an_archive_that_is_away_is_told_and_loses_nothing(place: Place) -> None:
    url, away = place.server.url("neurocards"), place.repository.root / "away"
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        await archived(place)
        place.repository.wal.rename(away)
        await pool.execute("CREATE TABLE more ()")
        name = await pool.fetchval("SELECT pg_walfile_name(pg_switch_wal())")
        await eventually(lambda: failed_last(pool), what="the failure is told")
        away.rename(place.repository.wal)
        await pool.execute("CREATE TABLE even_more ()")
        await pool.execute("SELECT pg_switch_wal()")  # which makes Postgres look again at once
        await eventually(
            lambda: place.repository.wal_path(name).exists(), what=f"{name} is archived after all"
        )


async def test_backups_and_archive_outlast_a_full_disk() -> None:
    """Postgres goes on; half a backup is none, and what was in the way is said in one line."""
    with short_folder() as root, small_disk(root / "backups", 200) as disk:
        async with placed(root) as place, asyncpg.create_pool(place.server.url("neurocards")) as pool:
            assert (await place.command("take")).exit_code == 0
            (whole,) = place.repository.backups()
            await eventually(partial(later_than, whole.label))  # a backup is named by its second
            videos = place.folder.root / "blobs" / "videos"
            videos.mkdir(parents=True)
            for room, video in ((0, 0), (1_000_000, 0), (100_000_000, 150_000_000)):
                (videos / "long.mp4").write_bytes(bytes(video))
                disk.fill(room)
                place.repository.prepare()  # as the system does before it starts
                failed = await place.command("take")
                assert failed.exit_code == 1 and failed.stdout == ""
                assert re.fullmatch(r"no room for a backup in .*\n", failed.stderr), failed.stderr
                assert str(place.repository.root) in failed.stderr and "REPLICATION" not in failed.stderr
                assert place.repository.backups() == [whole]
                assert not list(place.repository.root.glob(".*")), "half a backup"
                if room == 0:
                    await pool.execute("CREATE TABLE more ()")
                    name = await pool.fetchval("SELECT pg_walfile_name(pg_switch_wal())")
                    await eventually(lambda: failed_last(pool), what="the failure is told")
                    await pool.execute("CREATE TABLE yet_more ()")
                disk.free()
            await pool.execute("CREATE TABLE even_more ()")
            await archived(place)
            assert place.repository.wal_path(name).exists()
            (videos / "long.mp4").unlink()
            assert (await place.command("take")).exit_code == 0
            assert (await place.command("check")).exit_code == 0


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
