"""Signed notes in a bucket, under a lock that whoever runs the log cannot lift."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from ledger.log.ledger import Ledger
from services.adapters.telegram.client import create_bot
from services.maintenance.note_delivery import NoteDelivery
from services.platform.settings import load_settings
from tests.support.notes import make_note
from tests.support.s3_servers import KEY, READER, S3Server, missing, running
from tests.support.traffic import Traffic

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

pytestmark = [pytest.mark.s3, pytest.mark.skipif(bool(missing()), reason=missing() or "")]


@pytest.fixture(params=["seaweedfs", "moto"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[S3Server]:
    with running(tmp_path, kind=request.param, bucket="notes", locks=True) as server:
        yield server


async def deliver(pool: "Pool", url: str, key: str = KEY) -> tuple[int, str]:
    """How many notes were delivered by a process that begins anew, and what the last was refused for."""
    settings = load_settings(notes_bucket=url, notes_bucket_key=key)
    bot = create_bot(settings)
    try:
        sent = await NoteDelivery(settings, pool, bot).run_once()
    finally:
        await bot.session.close()
    place = f"bucket {url.partition('?')[0]}"
    row = await pool.fetchrow("SELECT kind, last_error FROM note_deliveries WHERE place = $1", place)
    assert row is not None and row["kind"] == "bucket"
    await pool.execute("UPDATE note_deliveries SET due_at = '-infinity'")
    return sent, row["last_error"]


async def test_a_note_is_stored_once_and_locked_for_years(
    server: S3Server, ledger: Ledger, pool: "Pool"
) -> None:
    await Traffic(ledger).play(2)
    note = await make_note(ledger)
    url = server.url("notes", "cards", days=400)
    assert await deliver(pool, url) == (1, "")
    assert (await deliver(pool, url))[0] == 0
    listed = server.ask("GET", "/notes?versions=").text
    (path,) = {part.partition("</Key>")[0] for part in listed.split("<Key>")[1:]}
    assert path.startswith("cards/checkpoint-") and path.endswith(".note")
    found = server.ask("GET", f"/notes/{path}")
    assert found.content == note.note.encode()
    assert found.headers["x-amz-object-lock-mode"] == "COMPLIANCE"
    until = datetime.fromisoformat(found.headers["x-amz-object-lock-retain-until-date"])
    assert abs(until - datetime.now(UTC) - timedelta(days=400)) < timedelta(hours=1)
    version = found.headers["x-amz-version-id"]
    assert server.ask("DELETE", f"/notes/{path}?versionId={version}").status_code in (400, 403)
    # That it arrived was not noted: it is not written a second time.
    await pool.execute("UPDATE note_deliveries SET sent_at = NULL")
    assert await deliver(pool, url) == (1, "")
    assert server.ask("GET", "/notes?versions=").text.count("<VersionId>") == 1


async def test_a_bucket_that_does_not_take_or_lock_it_is_told(
    server: S3Server, ledger: Ledger, pool: "Pool"
) -> None:
    await Traffic(ledger).play(2)
    await make_note(ledger)
    server.make_bucket("plain")
    sent, why = await deliver(pool, server.url("plain"))
    assert sent == 0 and why.startswith("S3: 400 ")
    if server.kind == "seaweedfs":  # moto looks at no key
        for key in ("WRITER:wrong", READER):
            sent, why = await deliver(pool, server.url("notes"), key)
            assert sent == 0 and why in ("S3: 403 SignatureDoesNotMatch", "S3: 403 AccessDenied")
    server.kill()
    sent, why = await deliver(pool, server.url("notes"))
    assert (sent, why) == (0, "ConnectionError")
    server.start()
    if server.kind == "moto":  # which keeps nothing
        server.make_bucket("notes", locks=True)
    assert await deliver(pool, server.url("notes")) == (1, "")
