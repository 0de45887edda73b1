"""Late videos of refunded jobs: looked for during a day, given free, once.

Candidates are in the read model `job_status`; whether one may be given is for the ledger to say, which turns
the success of a failed job into VideoGifted. Two processes at once store the same bytes twice and give one
gift.
"""

import time
from typing import Final

import asyncpg
import msgspec
import structlog
from structlog.contextvars import bound_contextvars

from events.job import Video
from ledger.commands import SucceedJob
from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.accounts.personal_data import PersonalData
from services.adapters.kie.errors import BrokenResultError, KieError
from services.adapters.kie.gateway import Kie
from services.generation.provider_limits import LATE_VIDEO_S, ProviderLimits
from services.maintenance.metrics import GIFTS
from services.platform.blobs import BlobError, BlobStore

query = load_queries("services.maintenance")

logger = structlog.get_logger()

PAGE_JOBS: Final = 200
OFTEN_S: Final = 30.0
SELDOM_S: Final = 300.0
SELDOM_AFTER_S: Final = 600.0
TRIES_MAX: Final = 3


class _Late(msgspec.Struct, frozen=True):
    """A failed job whose last known task may still end well."""

    job: str
    account: str
    ended_at_us: int
    age_s: float


class LateVideos:
    """Late videos; what has come to nothing is remembered here and not looked at again."""

    def __init__(
        self,
        ledger: Ledger,
        pool: Pool,
        provider: Kie,
        limits: ProviderLimits,
        blobs: BlobStore,
        *,
        often_s: float = OFTEN_S,
    ) -> None:
        self._ledger = ledger
        self._pool = pool
        self._provider = provider
        self._limits = limits
        self._blobs = blobs
        self._people = PersonalData(pool)
        self._often_s = often_s
        self._look_at: dict[str, float] = {}
        self._tries: dict[str, int] = {}
        self._over: set[str] = set()

    async def run_once(self) -> int:
        gifts, seen = 0, set()
        after = (0, "")
        while True:
            rows = await self._pool.fetch(query("late_jobs"), LATE_VIDEO_S, *after, PAGE_JOBS)
            page = [_Late(*row) for row in rows]
            for late in page:
                seen.add(late.job)
                if late.job not in self._over and self._look_at.get(late.job, 0.0) <= time.monotonic():
                    pause_s = self._often_s if late.age_s < SELDOM_AFTER_S else SELDOM_S
                    self._look_at[late.job] = time.monotonic() + pause_s
                    with bound_contextvars(job=late.job, account=late.account):
                        gifts += await self._look(late)
            if len(page) < PAGE_JOBS:
                break
            after = (page[-1].ended_at_us, page[-1].job)
        self._over &= seen
        self._look_at = {job: at for job, at in self._look_at.items() if job in seen}
        self._tries = {job: tries for job, tries in self._tries.items() if job in seen}
        return gifts

    async def _look(self, late: _Late) -> int:
        state = await self._ledger.read.job(late.job)
        live = state.live_submission
        if live is None or live.task is None or state.video is not None:
            self._over.add(late.job)
            return 0
        client = self._provider.client(live.provider_account)
        if client is None or (await self._ledger.read.account(late.account)).forgotten:
            self._over.add(late.job)
            return 0
        # A slot of our own is not worth a wait: the next look is half a minute away.
        if await self._limits.read_wait_s(live.provider_account) > 1:
            self._look_at.pop(late.job, None)
            return 0
        try:
            record = await client.read_task(live.task)
            if record.state == "running":
                return 0
            if record.state == "fail" or not record.urls:
                said = record.failure.error_class if record.failure else ""
                logger.info("late_result_failed", task=live.task, error_class=said)
                self._over.add(late.job)
                return 0
            key = f"videos/{late.job}-{live.number}.mp4"
            await self._people.own_video(key, late.account)
            stored = await self._provider.fetch(record.urls[0], key)
            if not await self._people.use_blob(key):
                await self._blobs.delete(key)
                raise asyncpg.ForeignKeyViolationError
        except asyncpg.ForeignKeyViolationError:
            logger.info("late_result_of_an_erased_person")
            self._over.add(late.job)
            return 0
        except (KieError, BlobError, OSError) as error:
            self._failed(late, error)
            return 0
        video = Video(stored.key, stored.sha256, stored.size_bytes)
        command = SucceedJob(late.job, state.run, live.number, video, record.charged_milli)
        receipt = await self._ledger.execute(command, key=f"gift:{late.job}")
        self._over.add(late.job)
        if receipt.events:
            GIFTS.inc()
            logger.info("late_video_gifted", after_s=round(late.age_s), position=receipt.position)
        return receipt.events

    def _failed(self, late: _Late, error: Exception) -> None:
        logger.warning("late_result_not_fetched", error=repr(error))
        if isinstance(error, BrokenResultError):
            self._tries[late.job] = self._tries.get(late.job, 0) + 1
            if self._tries[late.job] >= TRIES_MAX:
                self._over.add(late.job)
