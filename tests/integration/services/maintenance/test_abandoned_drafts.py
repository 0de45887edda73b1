"""What nobody came back for goes after a day, with photo and words; what is ordered, or in use, stays."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ledger import commands as c
from ledger.log.ledger import Ledger
from ledger.sql import load_queries
from services.accounts.personal_data import Brief, Draft, PersonalData
from services.maintenance.abandoned_drafts import AbandonedDrafts
from services.platform.blobs import BlobStore, StoredBlob, one_chunk
from tests.support.order_fixture import OrderFixture, Seller
from tests.support.waiting import eventually

query = load_queries("services.maintenance")

DAY_S = 86_400


class Shelf:
    """A seller's drafts and photos, and the sweep."""

    def __init__(self, studio: OrderFixture, pool, blobs: BlobStore, seller: Seller) -> None:
        self.studio, self.pool, self.blobs, self.seller = studio, pool, blobs, seller
        self.people = PersonalData(pool)
        self.sweep = AbandonedDrafts(pool, blobs, keep_s=DAY_S)

    async def photo(self, name: str) -> str:
        key = f"photos/{name}.jpg"
        await self.people.own_blob(key, self.seller.account)
        await self.blobs.put(key, one_chunk(b"photo"), size_bytes_max=9)
        return key

    async def draft(self, name: str) -> Draft:
        await self.people.keep_text(self.seller.account, Brief("mug"), ref=name)
        photo, account, chat = await self.photo(name), self.seller.account, self.seller.chat_id
        draft = Draft(name, account, chat, 1, photo, name, "ugc", "m", (f"{name}j",), 1)
        return await self.people.save_draft(draft)

    async def order(self, draft: Draft) -> None:
        command = c.OrderVideos(
            draft.account, draft.draft, draft.jobs, 1, "m", "ugc", draft.photo, draft.brief, "ru", 900
        )
        await self.studio.ledger.execute(command, key=f"order:{draft.draft}")

    async def a_day_later(self) -> None:
        for table in ("drafts", "blobs"):
            await self.pool.execute(f"UPDATE {table} SET used_at = used_at - interval '25 hours'")

    async def left(self) -> list[str]:
        """Names of the photos there are, all of them with a row; drafts are those whose text is there too."""
        rows = await self.pool.fetch("SELECT blob FROM blobs WHERE account IS NOT NULL")
        files = sorted(path.stem for path in self.blobs._root.rglob("*.jpg"))
        assert sorted(Path(row["blob"]).stem for row in rows) == files
        assert await self.pool.fetchval("SELECT count(*) FROM drafts") == await self.pool.fetchval(
            "SELECT count(*) FROM texts"
        )
        return files


@pytest.fixture
async def shelf(ledger: Ledger, pool, tmp_path: Path) -> Shelf:
    blobs = BlobStore(tmp_path)
    studio = OrderFixture(ledger, pool, blobs)
    return Shelf(studio, pool, blobs, await studio.seller())


async def test_replaced_cancelled_and_abandoned_ones_go_and_ordered_ones_stay(shelf: Shelf) -> None:
    await shelf.photo("replaced")
    await shelf.draft("cancelled")
    await shelf.people.drop_draft("cancelled")
    assert await shelf.people.brief("cancelled") is None
    await shelf.draft("abandoned")
    ordered, unmarked = await shelf.draft("ordered"), await shelf.draft("unmarked")
    await shelf.order(ordered)
    await shelf.people.mark_ordered(ordered.draft)
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
    await shelf.people.keep_text(old.account, Brief("mug"), ref="again")
    await shelf.people.save_draft(
        Draft("again", old.account, old.chat_id, 1, old.photo, "again", "ugc", "m", ("j",), 1)
    )
    assert await shelf.sweep.run_once() == 1
    assert await shelf.left() == ["old"]


async def test_what_is_read_to_be_ordered_is_not_swept(shelf: Shelf) -> None:
    await shelf.draft("d1")
    await shelf.a_day_later()
    assert await shelf.people.draft("d1") is not None
    assert await shelf.sweep.run_once() == 0
    assert await shelf.left() == ["d1"]


async def test_what_is_being_read_is_not_swept_nor_the_other_way_round(shelf: Shelf, owner) -> None:
    """Each holds its transaction open while the other comes."""
    await shelf.draft("d1")
    await shelf.a_day_later()
    async with shelf.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert await PersonalData(connection).draft("d1") is not None
        assert await shelf.sweep.run_once() == 0
        await transaction.rollback()
        transaction = connection.transaction()
        await transaction.start()
        assert await connection.fetchval(query("drafts_drop"), DAY_S, 9) == 1
        reading = asyncio.create_task(shelf.people.draft("d1"))
        blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        await eventually(lambda: owner.fetchval(blocked), 4)
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
        return [path for path in shelf.blobs._root.rglob(".*") if path.is_file()]

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


async def test_what_a_company_said_goes_after_ninety_days(shelf: Shelf) -> None:
    """Also what no event names, of a process that died between the two."""
    said = "INSERT INTO outside_words SELECT $2::text, $1, $2, clock_timestamp() - $2::text::interval"
    for ago in ("91 days", "89 days"):
        await shelf.pool.execute(said, shelf.seller.account, ago)
    await shelf.sweep.run_once()
    assert [row[0] for row in await shelf.pool.fetch("SELECT words FROM outside_words")] == ["89 days"]
