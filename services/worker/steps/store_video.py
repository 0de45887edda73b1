"""Storing the finished video: whole, checked and durable before the job succeeds."""

import asyncio
import time

from events.job import Video
from ledger.commands import SucceedJob
from ledger.jobs.state import Submission
from services.adapters.kie.envelope import TaskRecord
from services.adapters.kie.errors import BrokenResultError
from services.platform.backoff import backoff_s
from services.platform.blobs import BlobError, StoredBlob
from services.platform.tracing import traced
from services.worker.metrics import FETCH_SECONDS, JOBS_ENDED
from services.worker.run import JobRun
from services.worker.steps.handle_failure import ERASED, fail, submission_failed

FETCHES_MAX = 5
STORAGE_PAUSE_S_MAX = 30.0


def video_key(job: str, submission: int) -> str:
    return f"videos/{job}-{submission}.mp4"


@traced("fetch")
async def store_video(run: JobRun, submission: Submission, record: TaskRecord) -> None:
    started_s = time.monotonic()
    key = video_key(run.job, submission.number)
    if not await run.context.store.own_video(key, run.state.account):
        return await fail(run, ERASED)
    try:
        # A run before this one may have stored it and died before saying so. Only whole files are there.
        stored = await _stored(run, key) or await _fetch(run, record.urls, key)
    except BrokenResultError as error:
        charged = record.charged_milli
        return await submission_failed(run, submission.number, error.failure, charged_milli=charged)
    if stored is None:
        return None  # the deadline decides
    if not await run.context.store.has_owner(key):  # erased meanwhile
        await run.context.blobs.delete(key)
        return await fail(run, ERASED)
    await run.context.checkpoint("stored")
    assert run.run is not None
    video = Video(stored.key, stored.sha256, stored.size_bytes)
    command = SucceedJob(run.job, run.run, submission.number, video, record.charged_milli)
    if await run.append(command, key=f"succeed:{run.job}:{run.run}"):
        FETCH_SECONDS.observe(time.monotonic() - started_s)
        JOBS_ENDED.labels(run.state.outcome, "").inc()
        run.log.info(
            "job_succeeded", submission=submission.number, size_bytes=stored.size_bytes, position=run.position
        )
    await run.context.checkpoint("succeeded")
    return None


async def _fetch(run: JobRun, urls: tuple[str, ...], key: str) -> StoredBlob | None:
    """Try the addresses in turn. Raises BrokenResultError; None when storage was away until the deadline."""
    failures = 0
    while True:
        url = urls[failures % len(urls)]
        try:
            async with run.context.downloads:
                return await run.context.provider.fetch(url, key)
        except BrokenResultError as error:
            failures += 1
            run.log.warning("fetch_failed", failures=failures, error=str(error))
            last_url = failures >= len(urls)
            if failures >= FETCHES_MAX or (last_url and not error.passing):
                raise
            pause_s = backoff_s(failures, run.context.timing.poll_s / 5, 10.0)
        except (BlobError, OSError) as error:
            # Our own storage: the video is there to be had, so this is worth waiting for.
            failures += 1
            run.log.error("video_not_stored", failures=failures, error=repr(error))
            pause_s = backoff_s(failures, 0.5, STORAGE_PAUSE_S_MAX)
        if run.left_s() <= pause_s:
            if run.left_s() <= 0:
                return None
            pause_s = run.left_s()
        await asyncio.sleep(pause_s)


async def _stored(run: JobRun, key: str) -> StoredBlob | None:
    try:
        return await run.context.blobs.stored(key)
    except OSError as error:
        run.log.error("video_not_read", error=repr(error))
        return None
