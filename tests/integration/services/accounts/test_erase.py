"""Erasing a person leaves a valid ledger and nothing that tells who it was."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events.job import Video
from ledger import commands as c
from ledger.errors import AccountErasedError, AccountNotOpenError
from ledger.log.ledger import Ledger
from projections.verify.run import check_ledger
from services.accounts.erase import Erased, Forgetting
from services.accounts.personal_data import PersonalData, forgotten_names
from services.platform.blobs import FolderBlobs, one_chunk
from services.platform.database import create_pool
from services.platform.settings import Settings
from tests.support.order_fixture import OrderFixture, PlacedOrder, Seller


class Archive:
    """A seller with a finished and an unfinished job, and another seller beside them."""

    def __init__(self, studio: OrderFixture, blobs: FolderBlobs) -> None:
        self.studio = studio
        self.blobs = blobs
        self.seller: Seller
        self.other: Seller
        self.finished: PlacedOrder
        self.unfinished: PlacedOrder

    async def fill(self) -> None:
        self.seller, self.other = await self.studio.seller(credits=5), await self.studio.seller(credits=5)
        self.finished = await self.studio.order(self.seller)
        self.unfinished = await self.studio.order(self.seller, 2)
        await self.studio.order(self.other)
        (job,) = self.finished.jobs
        await self.studio.start(job)
        await self.studio.submit(job, task="t")
        await self.blobs.put(f"videos/{job}-1.mp4", one_chunk(b"video"), size_bytes_max=99)
        video = Video(f"videos/{job}-1.mp4", "00" * 32, 5)
        await self.studio.ledger.execute(c.SucceedJob(job, 1, 1, video), key=f"succeed:{job}:1")

    def files(self) -> list[str]:
        root = self.blobs.root
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.fixture
async def archive(ledger: Ledger, pool, tmp_path: Path) -> Archive:
    blobs = FolderBlobs(tmp_path)
    archive = Archive(OrderFixture(ledger, pool, blobs), blobs)
    await archive.fill()
    return archive


@pytest.fixture
async def forgetting(settings: Settings, database_url: str, archive: Archive) -> AsyncIterator[Forgetting]:
    """Under the bot's login, which may no more than it needs."""
    url = database_url.replace("neurocards_operator", "neurocards_bot")
    mine = settings.replace(database_url=url)
    async with await create_pool(mine, "bot", max_size=4) as pool, Ledger(url, pool) as ledger:
        assert await pool.fetchval("SELECT session_user") == "neurocards_bot"
        yield Forgetting(mine, pool, ledger, archive.blobs)


async def erase(forgetting: Forgetting, account: str) -> Erased:
    return await forgetting.forget(account, actor=f"account:{account}", reason="asked")


async def test_person_texts_and_files_go_and_the_ledger_stays_valid(
    archive: Archive, forgetting: Forgetting, ledger: Ledger, pool, settings: Settings
):
    account, telegram_id = archive.seller.account, archive.seller.chat_id
    body = '{"message": {"text": "my secret mug"}}'
    for update, whose in ((1, telegram_id), (2, archive.other.chat_id)):
        insert = "INSERT INTO updates (update_id, chat_id, user_id, body) VALUES ($1, $2, $2, $3)"
        await pool.execute(insert, update, whose, body)
    people = PersonalData(pool)
    for photo in ("replaced", "cancelled", "in-chat"):
        await people.own_photo(f"photos/{photo}.jpg", account, 5, 10**9)
        await archive.blobs.put(f"photos/{photo}.jpg", one_chunk(b"photo"), size_bytes_max=99)
    for whose in (telegram_id, archive.other.chat_id):
        await pool.execute("INSERT INTO chat_states (telegram_id, data) VALUES ($1, '{}')", whose)
    await archive.blobs.put("photos/p.jpg", one_chunk(b"photo"), size_bytes_max=99)
    await people.own_photo("photos/of-another.jpg", archive.other.account, 5, 10**9)
    await archive.blobs.put("photos/of-another.jpg", one_chunk(b"photo"), size_bytes_max=99)
    for owner, photo in ((account, "photos/replaced.jpg"), (archive.other.account, "photos/of-another.jpg")):
        judged = "INSERT INTO verdicts (account, content, kinds) VALUES ($1, $2, '{}'), ($1, 'text:00', '{}')"
        await pool.execute(judged, owner, photo)
        assert await people.keep_words(owner, "what a company said")
    before = await ledger.read.head()

    erased = await erase(forgetting, account)

    assert (erased.telegram_id_known, erased.jobs_failed, erased.drafts) == (True, 2, 2)
    for table in ("texts", "drafts", "verdicts", "outside_words"):
        count = f"SELECT count(*) FROM {table} WHERE account = $1"
        assert await pool.fetchval(count, account) == 0
        assert await pool.fetchval(count, archive.other.account) > 0
    assert await pool.fetchval("SELECT array_agg(update_id) FROM updates") == [2]
    assert await PersonalData(pool).find(account) is None
    assert await people.keep_words(account, "said too late") == ""
    assert await pool.fetchval("SELECT array_agg(telegram_id) FROM chat_states") == [archive.other.chat_id]
    assert archive.files() == ["photos/of-another.jpg"]
    marks = [
        tuple(row) for row in await pool.fetch("SELECT blob, sha256, why FROM swept_blobs ORDER BY blob")
    ]
    (job,) = archive.finished.jobs
    assert marks == [("photos/p.jpg", None, "erased"), (f"videos/{job}-1.mp4", None, "erased")]

    assert (await ledger.read.account(account)).balance == 4
    assert await check_ledger(pool) == []
    types = [event.type for event in await ledger.read.events_after(before.position)]
    assert types == ["AccountForgotten", "JobFailed", "CreditsRefunded", "JobFailed", "CreditsRefunded"]


async def test_coming_back_is_a_new_account_that_is_known_to_have_been_there(
    archive: Archive, forgetting: Forgetting, ledger: Ledger, pool, settings: Settings
):
    people, telegram_id = PersonalData(pool), archive.seller.chat_id
    assert await people.remembered(forgotten_names(settings, telegram_id)) is None
    await erase(forgetting, archive.seller.account)
    again = await people.account_of(telegram_id, "en")
    assert again.account != archive.seller.account
    assert await people.remembered(forgotten_names(settings, telegram_id)) == 0
    assert await people.remembered(forgotten_names(settings, archive.other.chat_id)) is None
    order = c.OrderVideos(archive.seller.account, "o9", ("j9",), 1, "m", "ugc", "p", "b", "ru", 900)
    with pytest.raises(AccountErasedError):
        await ledger.execute(order, key="order:o9")


async def test_asking_again_mends_what_was_interrupted(
    archive: Archive, forgetting: Forgetting, ledger: Ledger, pool, monkeypatch
):
    account = archive.seller.account
    for step in ("_unlink", "_fail_open_jobs"):
        with monkeypatch.context() as broken:
            broken.setattr(Forgetting, step, _dies)
            with pytest.raises(ConnectionError):
                await erase(forgetting, account)
    await erase(forgetting, account)
    done = await erase(forgetting, account)
    assert done == Erased(account, False, 0, 0, 0, 0, 0, done.files)
    types = [event.type for event in await ledger.read.stream(f"account-{account}")]
    assert types.count("AccountForgotten") == 1
    assert await check_ledger(pool) == []
    with pytest.raises(AccountNotOpenError):
        await erase(forgetting, "nobody")


async def _dies(*_: object) -> None:
    raise ConnectionError
