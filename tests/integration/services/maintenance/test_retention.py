"""What nobody came back for goes after a day, orders later and with a mark; what is in use stays."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import asyncpg
import pytest

from events.job import Video
from ledger import commands as c
from ledger.log.ledger import Ledger
from ledger.sql import load_queries
from services.accounts.drafts import Draft, Drafts
from services.accounts.personal_data import Brief, PersonalData
from services.maintenance.retention import Retention
from services.platform.blobs import FolderBlobs, StoredBlob, one_chunk
from services.platform.settings import load_settings
from tests.support.locks import WAITING
from tests.support.order_fixture import OrderFixture, Seller
from tests.support.services import ROOT
from tests.support.stored_draft import store_draft
from tests.support.waiting import eventually

query = load_queries("services.maintenance")

DAY_S = 86_400


class Shelf:
    """A seller's drafts and photos, and the sweep."""

    def __init__(self, studio: OrderFixture, pool, blobs: FolderBlobs, seller: Seller) -> None:
        self.studio, self.pool, self.blobs, self.seller = studio, pool, blobs, seller
        self.people, self.drafts = PersonalData(pool), Drafts(pool)
        self.sweep = Retention(pool, blobs, load_settings(orders_keep_days=1))

    async def photo(self, name: str, seller: Seller | None = None) -> str:
        key = f"photos/{name}.jpg"
        await self.people.own_photo(key, (seller or self.seller).account, 5, 10**9)
        await self.blobs.put(key, one_chunk(b"photo"), size_bytes_max=9)
        return key

    async def draft(self, name: str, photo: str = "") -> Draft:
        """A draft; but for `d` of somebody of their own, as there is one for each."""
        seller = self.seller if name == "d" else await self.studio.seller()
        photo = photo or await self.photo(name, seller)
        draft = Draft(
            name, seller.account, seller.chat_id, photo, name, Brief("mug"), 1, style="ugc", model="m",
            price=1, jobs=(f"{name}j",) if name in ("ordered", "unmarked", "d") else (),
        )  # fmt: skip
        return await store_draft(self.pool, draft)

    async def order(self, draft: Draft) -> None:
        command = c.OrderVideos(
            draft.account, draft.draft, draft.jobs, 1, "m", "ugc", draft.photo, draft.brief, "ru", 900
        )
        await self.studio.ledger.execute(command, key=f"order:{draft.draft}")

    async def a_day_later(self) -> None:
        for table in ("drafts", "blobs"):
            await self.pool.execute(f"UPDATE {table} SET used_at = used_at - interval '25 hours'")

    async def end(self, job: str, video: str) -> None:
        await self.studio.start(job)
        await self.studio.submit(job, task="t")
        await self.people.own_video(video, self.seller.account)
        stored = await self.blobs.put(video, one_chunk(b"video"), size_bytes_max=9)
        command = c.SucceedJob(job, 1, 1, Video(video, stored.sha256, stored.size_bytes))
        await self.studio.ledger.execute(command, key=f"succeed:{job}:1")

    async def marks(self) -> dict[str, tuple[str, str | None]]:
        rows = await self.pool.fetch("SELECT blob, why, sha256 FROM swept_blobs")
        return {blob: (why, sha256) for blob, why, sha256 in rows}

    async def left(self) -> list[str]:
        """Names of the photos there are, all of them with a row; drafts are those whose text is there too."""
        rows = await self.pool.fetch("SELECT blob FROM blobs WHERE account IS NOT NULL")
        files = sorted(path.stem for path in self.blobs.root.rglob("*.jpg"))
        assert sorted(Path(row["blob"]).stem for row in rows) == files
        assert await self.pool.fetchval("SELECT count(*) FROM drafts") == await self.pool.fetchval(
            "SELECT count(*) FROM texts"
        )
        return files


@pytest.fixture
async def shelf(ledger: Ledger, pool, tmp_path: Path) -> Shelf:
    blobs = FolderBlobs(tmp_path)
    studio = OrderFixture(ledger, pool, blobs)
    return Shelf(studio, pool, blobs, await studio.seller())


async def test_replaced_cancelled_and_abandoned_ones_go_and_ordered_ones_stay(shelf: Shelf) -> None:
    await shelf.photo("replaced")
    await shelf.draft("cancelled")
    await shelf.drafts.drop("cancelled")
    assert await shelf.people.brief("cancelled") is None
    await shelf.draft("abandoned")
    ordered, unmarked = await shelf.draft("ordered"), await shelf.draft("unmarked")
    await shelf.order(ordered)
    await shelf.drafts.mark_ordered(ordered.draft)
    await shelf.order(unmarked)  # killed before it was marked
    await shelf.a_day_later()
    await shelf.photo("fresh")
    await shelf.draft("new")
    assert await shelf.sweep.run_once() == 4
    assert await shelf.left() == ["fresh", "new", "ordered", "unmarked"]
    assert await shelf.sweep.run_once() == 0


async def test_a_photo_that_another_draft_needs_stays(shelf: Shelf) -> None:
    old = await shelf.draft("old")
    await shelf.a_day_later()
    await shelf.draft("again", old.photo)
    assert await shelf.sweep.run_once() == 1
    assert await shelf.left() == ["old"]


async def test_what_is_read_to_be_ordered_is_not_swept(shelf: Shelf) -> None:
    await shelf.draft("d1")
    await shelf.a_day_later()
    assert await shelf.drafts.find("d1") is not None
    assert await shelf.sweep.run_once() == 0
    assert await shelf.left() == ["d1"]


async def test_what_is_being_read_is_not_swept_nor_the_other_way_round(shelf: Shelf, owner) -> None:
    """Each holds its transaction open while the other comes."""
    await shelf.draft("d1")
    await shelf.a_day_later()
    async with shelf.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert await Drafts(connection).find("d1") is not None
        assert await shelf.sweep.run_once() == 0
        await transaction.rollback()
        transaction = connection.transaction()
        await transaction.start()
        assert await connection.fetchval(query("drafts_drop"), DAY_S, 9) == 1
        reading = asyncio.create_task(shelf.drafts.find("d1"))
        await eventually(lambda: owner.fetchval(WAITING), 4)
        await transaction.commit()
        assert await reading is None


async def test_a_photo_that_is_used_again_is_not_swept_and_a_swept_one_not_used(shelf: Shelf) -> None:
    used, unused = await shelf.photo("used"), await shelf.photo("unused")
    await shelf.a_day_later()
    assert await shelf.people.use_blob(used)
    assert await shelf.sweep.run_once() == 1
    assert not await shelf.people.use_blob(unused)
    assert await shelf.left() == ["used"]


async def test_a_file_whose_writer_died_after_its_person_was_erased(shelf: Shelf, owner) -> None:
    key = await shelf.photo("late")
    await shelf.pool.execute("UPDATE blobs SET account = NULL, used_at = clock_timestamp()")
    await shelf.sweep.run_once()
    assert await shelf.blobs.size_bytes(key) is None
    await shelf.blobs.put(key, one_chunk(b"photo"), size_bytes_max=9)
    await shelf.a_day_later()
    await shelf.sweep.run_once()
    assert await shelf.blobs.size_bytes(key) is None
    assert await shelf.pool.fetchval("SELECT count(*) FROM blobs") == 0


async def test_halves_go_with_their_blob_and_after_a_day(shelf: Shelf) -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"half"
        begun.set()
        await never.wait()

    def halves() -> list[Path]:
        return [path for path in shelf.blobs.root.rglob(".*") if path.is_file()]

    async def begin(key: str) -> asyncio.Task[StoredBlob]:
        begun.clear()
        putting = asyncio.create_task(shelf.blobs.put(key, endless(), size_bytes_max=99))
        await begun.wait()
        return putting

    erased, killed = await begin("videos/j1-1.mp4"), await begin("videos/j2-1.mp4")
    assert len(halves()) == 2
    await shelf.blobs.delete("videos/j1-1.mp4")
    (half,) = halves()
    await shelf.sweep.run_once()
    assert halves() == [half]
    os.utime(half, (1, 1))
    await shelf.sweep.run_once()
    assert halves() == []
    for task in (erased, killed):
        task.cancel()
        await asyncio.wait([task])


async def test_an_order_goes_after_its_jobs_end_and_its_files_leave_marks(shelf: Shelf, owner) -> None:
    """The photo a day after the order, videos when of age; not what a job or a delivery may need."""
    pool, account = shelf.pool, shelf.seller.account
    draft = await shelf.draft("d")
    await shelf.order(draft)
    await shelf.drafts.mark_ordered("d")
    await shelf.people.keep_text(account, {"text": "prompt"}, ref="prompt")
    await pool.execute("INSERT INTO verdicts (account, content, kinds) VALUES ($1, 'text:00', '{}')", account)

    async def grow_older(**columns: str) -> None:
        for table, column in columns.items():
            sql = f"UPDATE {table} SET {column} = {column} - interval '181 days' WHERE {column} < 'infinity'"
            await owner.execute(sql)

    await grow_older(texts="created_at", blobs="stored_at", drafts="used_at", verdicts="judged_at")
    await shelf.sweep.run_once()
    assert await pool.fetchval("SELECT count(*) FROM texts") == 2  # its job is open
    assert await pool.fetchval("SELECT count(*) FROM verdicts") == 0

    await shelf.end("dj", "videos/dj-1.mp4")
    await grow_older(blobs="stored_at")
    await pool.execute(
        "INSERT INTO deliveries (job, kind, position, account, order_id, number, of_jobs, locale, blob) "
        "VALUES ('dj', 'video', 9, $1, 'd', 1, 1, 'ru', 'videos/dj-1.mp4')",
        account,
    )
    await shelf.sweep.run_once()
    assert await pool.fetchval("SELECT count(*) FROM drafts") == 1  # it ended just now
    await owner.execute("ALTER TABLE events DISABLE TRIGGER ALL")
    await owner.execute("UPDATE events SET recorded_at_us = recorded_at_us - 86400 * 2000000::bigint")
    await shelf.sweep.run_once()
    assert [await pool.fetchval(f"SELECT count(*) FROM {table}") for table in ("drafts", "texts")] == [0, 0]
    assert not await shelf.marks()  # the photo may be used for a day, and the delivery wants the video

    await pool.execute("UPDATE deliveries SET state = 'sent', settled_at = now()")
    await grow_older(blobs="used_at")
    (shelf.blobs.root / "photos/d.jpg").unlink()
    await shelf.sweep.run_once()
    video = sha256(b"video").hexdigest()
    assert await shelf.marks() == {"photos/d.jpg": ("missing", None), "videos/dj-1.mp4": ("age", video)}
    assert await shelf.blobs.size_bytes("videos/dj-1.mp4") is None
    assert not await shelf.people.use_blob("photos/d.jpg")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await owner.execute("DELETE FROM swept_blobs")


async def test_what_is_kept_for_a_time_goes_when_it_is_over(shelf: Shelf, owner) -> None:
    """Rows beside the limit of each; not messages that are to be sent, nor payments looked after."""
    pool, account = shelf.pool, shelf.seller.account
    rows = {
        "outside_words": ("(account, ref, said_at, words) VALUES ($1, $2, $3, '')", "ref", 90),
        "wrong_codes": ("(account, tried_at) SELECT $1, $3 WHERE $2 <> ''", "'young'", 1),
        "person_reads": ("(account, what, read_at) VALUES ($1, $2, $3)", "what", 400),
        "payment_links": ("(account, payment, created_at) VALUES ($1, $2, $3)", "payment", 365),
        "payment_requests": ("(account, payment, created_at, request) VALUES ($1,$2,$3,$2)", "payment", 365),
        "deliveries": (
            "(account, job, owed_at, kind, position, order_id, number, of_jobs, locale, state) "
            "VALUES ($1, $2, $3, 'video', ascii($2), $2, 1, 1, 'ru', "
            "CASE $2 WHEN 'watched' THEN 'pending' ELSE 'sent' END)", "job", 400,
        ),
    }  # fmt: skip
    watch = (
        "INSERT INTO payment_watch (payment, account, provider, due_at) VALUES ('watched', $1, 'p', now())"
    )
    await pool.execute(watch, account)
    now = await pool.fetchval("SELECT clock_timestamp()")
    for table, (columns, _, days) in rows.items():
        for name, ago in (("old", days + 0.1), ("young", days - 0.1), ("watched", days + 0.1)):
            await owner.execute(f"INSERT INTO {table} {columns}", account, name, now - timedelta(days=ago))
    insert = (
        "INSERT INTO status_messages (subject, name, account) VALUES ('order', $1, $2), ('payment', $1, $2)"
    )
    for name in ("old", "young"):
        await pool.execute(insert, name, account)
    states = "INSERT INTO chat_states SELECT telegram_id, 'kept', $2, $3 FROM accounts WHERE account = $1"
    for who, hours in ((shelf.seller, 25), (await shelf.studio.seller(), 23)):
        said = json.dumps({"early": {"photo": []}, "panel": hours})
        await pool.execute(states, who.account, said, now - timedelta(hours=hours))
    await shelf.sweep.run_once()
    kept = [(row[0], json.loads(row[1])) for row in await pool.fetch("SELECT state, data FROM chat_states")]
    old, young = sorted(kept, key=lambda state: -state[1]["panel"])
    assert old == ("kept", {"panel": 25}) and "early" in young[1]
    left = {
        table: sorted(row[0] for row in await pool.fetch(f"SELECT {column} FROM {table}"))
        for table, (_, column, _) in rows.items()
    }
    needed = {key: ["watched", "young"] for key in ("payment_links", "payment_requests", "deliveries")}
    assert left == {key: ["young"] for key in ("outside_words", "wrong_codes", "person_reads")} | needed
    assert {row[0] for row in await pool.fetch("SELECT name FROM status_messages")} == {"young"}


async def test_photos_are_bounded_by_bytes_also_for_who_keeps_touching_old_ones(shelf: Shelf) -> None:
    account, people = shelf.seller.account, shelf.people
    assert await people.own_photo("photos/a.jpg", account, 60, 100)
    assert not await people.own_photo("photos/b.jpg", account, 60, 100)
    assert await people.own_photo("photos/b.jpg", (await shelf.studio.seller()).account, 60, 100)
    await shelf.pool.execute("UPDATE blobs SET stored_at = stored_at - interval '25 hours'")
    assert await people.use_blob("photos/a.jpg")
    assert not await people.own_photo("photos/c.jpg", account, 60, 100)
    await shelf.pool.execute("UPDATE blobs SET used_at = 'infinity'")  # ordered
    assert await people.own_photo("photos/c.jpg", account, 60, 100)


async def test_reads_cannot_be_written_for_others_nor_deleted_early(database_url: str, owner) -> None:
    login = "neurocards_bot"
    async with asyncpg.create_pool(
        database_url.replace("neurocards_operator", login), min_size=1, max_size=1
    ) as bot:
        await PersonalData(bot).note_read("a", "/user", actor="account:b", reason="ticket 1")
        for forged in ("login", "read_at"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await bot.execute(f"INSERT INTO person_reads (what, account, {forged}) VALUES ('', '', NULL)")
    row = await owner.fetchrow("SELECT login, actor, what, reason FROM person_reads")
    assert tuple(row) == (login, "account:b", "/user", "ticket 1")
    for change in (
        "DELETE FROM person_reads",
        "UPDATE person_reads SET reason = ''",
        "TRUNCATE person_reads",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await owner.execute(change)


async def test_every_table_and_redis_key_has_a_line_in_the_table_of_retention(owner) -> None:
    told = set(re.findall(r"`([^`]+)`", section("docs/operations.md", "## Retention")))
    tables = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') "
        "AND relnamespace::regnamespace::text IN ('public', 'ledger', 'audit')"
    )
    # A read model's view has the name, its table a version behind it.
    assert {re.sub(r"_v\d+$", "", row["relname"]) for row in tables} - told == set()
    keys = section("services/platform/redis_keys.py", "| key |").splitlines()
    rows = [line.split("|")[1] for line in keys if line.startswith("| `")]
    assert len(rows) > 8
    assert {key for row in rows for key in re.findall(r"`([^`]+)`", row)} - told == set()


def section(path: str, heading: str) -> str:
    return (ROOT / path).read_text().partition(heading)[2].partition("\n## ")[0]
