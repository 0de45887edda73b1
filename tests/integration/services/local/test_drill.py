"""Restore drills on a real Postgres that archives."""

import asyncio
import gzip
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from prometheus_client import REGISTRY

from events.job import Video
from ledger import commands as c
from ledger.log.ledger import Ledger
from services.backup import drill as drills
from services.backup import stored_files
from services.backup.drill import WORK
from services.maintenance.gauges import measure_backups
from services.maintenance.restore_drill import RestoreDrill
from services.recovery.backup_runs import BackupRun, BackupStatus, DrillTask, backup_status, record_run
from tests.integration.ledger.conftest import order, rich
from tests.support.backups import Place, archived, head, later_than, play
from tests.support.servers import OPERATOR
from tests.support.waiting import eventually


async def logged_video(place: Place, account: str) -> Path:
    """A video that the log names, where it lies."""
    blob, data = f"videos/{account}.mp4", b"a video"
    path = place.folder.root / "blobs" / blob
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    (place.folder.root / "blobs/p").write_bytes(b"the order's photo")
    url = place.server.url("neurocards", OPERATOR)
    async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool, Ledger(url, pool) as ledger:
        await rich(ledger, account)
        job = f"job-{account}"
        await ledger.execute(order(account, f"o-{account}", job), key=f"order:{job}")
        for command in (
            c.StartJob(job, 1, "w"),
            c.RecordPrompt(job, 1, "prompt", "openai", "t"),
            c.IntendSubmission(job, 1, 1, "k", "m"),
            c.SucceedJob(job, 1, 1, Video(blob, sha256(data).hexdigest(), len(data))),
        ):
            await ledger.execute(command, key=f"{type(command).__name__}:{job}")
    return path


async def status(place: Place) -> BackupStatus:
    connection = await asyncpg.connect(place.server.url("neurocards"))
    try:
        return await backup_status(connection)
    finally:
        await connection.close()


async def test_a_drill_restores_verifies_and_says_what_a_loss_would_cost(place: Place) -> None:
    url = place.server.url("neurocards", OPERATOR)
    assert (await place.command("drill")).exit_code == 4, "without a backup"
    video = await logged_video(place, "rich")
    owner = await asyncpg.connect(place.server.url())
    for name in ("archive_mode", "archive_command"):  # in the data folder, as others keep them
        value = await owner.fetchval(f"SHOW {name}")
        await owner.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    await owner.close()
    assert (await place.command("take")).exit_code == 0
    await logged_video(place, "later")  # after the backup: its file cannot be in it
    await archived(place)
    left_over = gzip.compress(b"1\t0/1000000\tno recovery target specified\n")  # of a restore that was undone
    history = place.repository.wal / "00000002.history.gz"
    history.write_bytes(left_over)
    stored_files.own_like(history, place.repository.wal)
    restored = await head(url)
    await play(url, "unarchived-")

    done = await place.command("drill", "-o", "json")
    assert done.exit_code == 0, done.stdout + done.stderr
    (row,) = json.loads(done.stdout)
    lost = await head(url) - restored
    assert row["result"] == "ok" and row["up_to"] == restored
    assert row["would_be_lost"].startswith(f"{lost} events, the oldest ") and row["restored_in_s"] > 0
    known = await status(place)
    assert (
        known.concern is None
        and known.drilled_at_s
        and known.lost_s
        and known.restore_s == row["restored_in_s"]
    )
    assert not (place.folder.root / WORK).exists()
    timelines = {path.name[:8] for path in place.repository.wal.iterdir()}
    assert timelines == {"00000001", "00000002"}, "the next restore would follow another one"

    kept = place.repository.folder(place.repository.find(None).label)
    stored = stored_files.read_list(kept)
    named = [file for file in stored if not file.path.endswith(video.name)]
    (kept / stored_files.LIST).write_bytes(b"".join(msgspec.json.encode(file) + b"\n" for file in named))
    connection = await asyncpg.connect(place.server.url("neurocards"))
    await connection.execute("ALTER TABLE events DISABLE TRIGGER ALL")
    await connection.execute("UPDATE events SET hash = sha256(hash) WHERE position = $1", restored)
    await connection.close()
    done = await place.command("drill", "-o", "json")
    assert done.exit_code == 3, done.stderr
    (row,) = json.loads(done.stdout)
    assert video.name in row["result"] and "is not in the backup as the log has it" in row["result"]
    assert f"another event at position {restored}" in row["result"]
    assert (await status(place)).concern == "damaged"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
async def test_a_drill_reads_the_archive_of_another_container_s_postgres(place: Place) -> None:
    assert (await place.command("take")).exit_code == 0
    until = await play(place.server.url("neurocards", OPERATOR), "a-")
    await archived(place)
    place.server.stop()
    for path in (place.repository.wal, *place.repository.wal.iterdir(), *place.repository.root.glob("*.sh")):
        os.chown(path, 65_534, 65_534)
    place.server.start()
    done = await place.command("drill", "-o", "json")
    (row,) = json.loads(done.stdout)
    assert (row["up_to"], row["result"]) == (until, "ok")
    assert not list(place.folder.root.glob("*.drill"))


async def test_what_the_archive_lost_is_a_finding(place: Place) -> None:
    assert (await place.command("take")).exit_code == 0
    await play(place.server.url("neurocards", OPERATOR), "a-")
    await archived(place)
    newest = place.repository.wal_path(max(name for name in place.repository.wal_names() if len(name) == 24))
    kept = newest.read_bytes()
    newest.unlink()
    (row,) = json.loads((await place.command("drill", "-o", "json")).stdout)
    assert f"{newest.stem}, which Postgres archived last, is not in" in row["result"]
    assert "recovery ended in WAL segment" in row["result"]

    newest.write_bytes(gzip.compress(bytes(len(gzip.decompress(kept)))))  # there, and of no use
    stored_files.own_like(newest, place.repository.wal)
    (row,) = json.loads((await place.command("drill", "-o", "json")).stdout)
    assert "recovery ended in WAL segment" in row["result"] and "archived last" not in row["result"]


async def test_a_log_in_use_that_goes_away_is_no_finding(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await place.command("take")).exit_code == 0
    asked = drills._connected

    @asynccontextmanager
    async def away(url: str) -> AsyncIterator[Any]:
        if url == live and (place.folder.root / WORK).exists():
            raise ConnectionRefusedError("the log in use is away")
        async with asked(url) as connection:
            yield connection

    live = place.server.url("neurocards", OPERATOR)
    monkeypatch.setattr(drills, "_connected", away)
    with pytest.raises(ConnectionRefusedError):
        await drills.drill(place.repository, place.folder, live, lambda _: None)


async def test_a_damaged_list_is_a_finding_and_keeps_nobody_from_other_backups(place: Place) -> None:
    assert (await place.command("take")).exit_code == 0
    first = place.repository.find(None)
    await eventually(partial(later_than, first.label), what="another second begins")
    assert (await place.command("take")).exit_code == 0
    newest = place.repository.folder(place.repository.find(None).label)
    (newest / stored_files.LIST).write_bytes(b'{"path')
    done = await place.command("drill", "-o", "json")
    assert done.exit_code == 3 and "files.jsonl cannot be read" in json.loads(done.stdout)[0]["result"]
    assert (await place.command("check")).exit_code == 3
    (newest / "backup.json").write_bytes(b"")
    assert place.repository.find(None) == first
    done = await place.command("check", "-o", "json")
    assert done.exit_code == 3 and "backup.json cannot be read" in done.stdout


async def test_a_drill_ends_with_its_parent(place: Place) -> None:
    assert (await place.command("take")).exit_code == 0
    url = place.server.url("neurocards", OPERATOR)
    task = DrillTask(url, str(place.repository.root), str(place.folder.root))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.backup.drill", stdin=asyncio.subprocess.PIPE
    )
    assert process.stdin
    process.stdin.write(msgspec.json.encode(task) + b"\n")
    await eventually((place.folder.root / WORK).exists, what="the drill begins")
    process.stdin.close()
    assert await process.wait() == 1


async def test_who_may_leave_a_row_cannot_date_it(place: Place) -> None:
    connection = await asyncpg.connect(place.server.url("neurocards", OPERATOR))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                "INSERT INTO backup_runs (ended_at, kind, backup, position, size_bytes, files, seconds,"
                " problems) VALUES ('infinity', 'drill', '', 0, 0, 0, 0, '{}')"
            )
        with pytest.raises(asyncpg.CheckViolationError):
            await record_run(connection, BackupRun(kind="drill", backup="", restore_s=float("inf")))
    finally:
        await connection.close()


async def test_a_backup_that_does_not_start_is_a_finding_of_the_drill(place: Place) -> None:
    assert (await place.command("take")).exit_code == 0
    kept = place.repository.folder(place.repository.find(None).label)
    (kept / "postgres/global/pg_control").write_bytes(b"")
    done = await place.command("drill", "-o", "json")
    assert done.exit_code == 3, done.stderr
    (row,) = json.loads(done.stdout)
    assert "recovery failed" in row["result"] and row["would_be_lost"] == "unknown"


async def test_maintenance_holds_a_drill_when_it_is_due_and_ends_one_that_is_under_way(place: Place) -> None:
    url, stop = place.server.url("neurocards", OPERATOR), asyncio.Event()
    settings = place.settings.replace(database_url=url)
    await logged_video(place, "a")
    async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
        work = RestoreDrill(settings, pool, stop)
        assert await work.run_once() == 0, "there is no backup"
        assert (await place.command("take")).exit_code == 0
        stopped = RestoreDrill(settings, pool, stop)
        under_way = asyncio.create_task(stopped.run_once())
        await eventually((place.folder.root / WORK).exists, what="the drill begins")
        stop.set()
        assert await under_way == 0
        stop.clear()
        assert await work.run_once() == 0, "not again at once"
        os.utime(place.folder.root / "drill.lock", (0, 0))
        assert await work.run_once() == 1
        assert await work.run_once() == 0, "it is a week from now"
        known = await backup_status(pool)
        await measure_backups(pool)
    assert known.problems == [] and known.drilled_at_s
    told = REGISTRY.get_sample_value("neurocards_backup_ok_timestamp_seconds", {"what": "drill"})
    assert told == known.drilled_at_s
