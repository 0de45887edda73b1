"""A video that comes after the refund is found, stored and given, once; what comes to nothing is let be."""

import asyncio
from pathlib import Path

import pytest

from ledger.log.ledger import Ledger
from projections.engine.runner import Runner
from projections.models.job_status import JOB_STATUS
from services.adapters.kie.envelope import TaskRecord
from services.adapters.kie.errors import BrokenResultError
from services.adapters.kie.failures import KieFailure
from services.adapters.kie.gateway import Kie
from services.generation.provider_limits import ProviderLimits
from services.maintenance.late_videos import LateVideos
from services.platform.blobs import FolderBlobs, StoredBlob, one_chunk
from tests.integration.services.maintenance.conftest import count
from tests.support.order_fixture import OrderFixture, PlacedOrder


class Renderer(Kie):
    """A provider whose tasks stand as we say."""

    def __init__(self, blobs: FolderBlobs) -> None:
        self.blobs = blobs
        self.records: dict[str, TaskRecord] = {}
        self.reads: list[str] = []
        self.broken = False

    def stands(self, task: str, state: str, *urls: str) -> None:
        self.records[task] = TaskRecord(task, state, state, urls, charged_milli=61_500)  # type: ignore[arg-type]

    def client(self, account: str) -> "Renderer | None":  # type: ignore[override]
        return self if account == "k1" else None

    async def read_task(self, task: str) -> TaskRecord:
        self.reads.append(task)
        return self.records[task]

    async def fetch(self, url: str, key: str) -> StoredBlob:
        if self.broken:
            raise BrokenResultError(KieFailure("result_broken"))
        return await self.blobs.put(key, one_chunk(url.encode()), size_bytes_max=999)


@pytest.fixture
def renderer(tmp_path: Path) -> Renderer:
    return Renderer(FolderBlobs(tmp_path))


class Late:
    def __init__(self, ledger: Ledger, pool, renderer: Renderer, studio: OrderFixture) -> None:
        self.ledger, self.pool, self.renderer, self.studio = ledger, pool, renderer, studio

    def results(self) -> LateVideos:
        limits, blobs = ProviderLimits(None), self.renderer.blobs
        return LateVideos(self.ledger, self.pool, self.renderer, limits, blobs, often_s=0.0)

    async def failed_job(self, task: str = "t1", *, provider_account: str = "k1") -> tuple[PlacedOrder, str]:
        order = await self.studio.order(await self.studio.seller())
        (job,) = order.jobs
        await self.studio.start(job)
        await self.studio.submit(job, task=task, provider_account=provider_account)
        await self.studio.fail(order, job, "timeout")
        await self.catch_up()
        return order, job

    async def catch_up(self) -> None:
        runner = Runner(self.pool, JOB_STATUS)
        while events := await self.ledger.read.events_after((await runner.cursor()).position):
            await runner.apply(events)


@pytest.fixture
def late(ledger: Ledger, pool, renderer: Renderer, studio: OrderFixture) -> Late:
    return Late(ledger, pool, renderer, studio)


async def test_a_late_video_is_given_once_whoever_finds_it(late: Late, pool):
    _, job = await late.failed_job()
    one, other = late.results(), late.results()
    late.renderer.stands("t1", "running")
    assert await one.run_once() == 0
    late.renderer.stands("t1", "success", "https://x/v.mp4")
    gifts = await asyncio.gather(one.run_once(), other.run_once())
    assert sum(gifts) >= 1
    assert await count(pool, "VideoGifted") == 1
    charged = "SELECT (data ->> 'charged_milli')::bigint FROM events WHERE type = 'VideoGifted'"
    assert await pool.fetchval(charged) == 61_500
    state = await late.ledger.read.job(job)
    assert state.video is not None and await late.renderer.blobs.get(state.video.blob) == b"https://x/v.mp4"
    reads = len(late.renderer.reads)
    await late.catch_up()
    assert await one.run_once() == 0 and len(late.renderer.reads) == reads


async def test_what_failed_is_not_looked_at_again(late: Late, pool):
    await late.failed_job()
    late.renderer.stands("t1", "fail")
    results = late.results()
    for _ in range(3):
        assert await results.run_once() == 0
    assert late.renderer.reads == ["t1"]
    assert await count(pool, "VideoGifted") == 0


async def test_a_result_that_cannot_be_had_is_given_up_after_a_few_tries(late: Late):
    await late.failed_job()
    late.renderer.stands("t1", "success", "https://x/v.mp4")
    late.renderer.broken = True
    results = late.results()
    for _ in range(6):
        await results.run_once()
    assert len(late.renderer.reads) == 3


async def test_a_task_of_a_key_that_is_gone_keeps_nobody(late: Late, pool):
    await late.failed_job("t1", provider_account="gone")
    await late.failed_job("t2")
    late.renderer.stands("t2", "success", "https://x/v.mp4")
    assert await late.results().run_once() == 1
    assert late.renderer.reads == ["t2"]


async def test_nothing_of_one_who_was_erased_meanwhile_is_kept(late: Late, renderer: Renderer, pool) -> None:
    order, _ = await late.failed_job()
    renderer.stands("t1", "success", "https://files.test/a.mp4")
    fetch = renderer.fetch

    async def erased_meanwhile(url: str, key: str) -> StoredBlob:
        stored = await fetch(url, key)
        await pool.execute("DELETE FROM accounts WHERE account = $1", order.seller.account)
        return stored

    renderer.fetch = erased_meanwhile  # type: ignore[method-assign]
    assert await late.results().run_once() == 0
    assert [path for path in renderer.blobs.root.rglob("*") if path.is_file()] == []
