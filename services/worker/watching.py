"""Looking at the provider's task until it is done, one way or the other."""

import random
import time
from typing import TYPE_CHECKING

import msgspec

from events.job import Failure
from ledger.job_state import Submission
from services.adapters.kie.errors import KieError, TaskUnknown
from services.adapters.kie.record import TaskRecord
from services.worker import plan
from services.worker.metrics import POLLS
from services.worker.policy import poll_pause_s

if TYPE_CHECKING:
    from services.worker.run import JobRun

Urls = tuple[str, ...]


class Watched(msgspec.Struct):
    """Which task is looked at, how often it was, when last, and since when the provider does not know it."""

    task: str = ""
    polls: int = 0
    polled_s: float = 0.0
    unknown_since_s: float | None = None
    odd: str = ""


async def watch(run: "JobRun", submission: Submission) -> Urls | None:
    """One pause and one look. The result's URLs once there is a video; None: nothing to fetch yet."""
    assert submission.task is not None
    if run.watched.task != submission.task:
        run.watched = Watched(submission.task)
    elif not await _wait(run):
        return None
    await _read_slot(run, submission.provider_account)
    run.watched.polled_s = time.monotonic()
    run.watched.polls += 1
    record = await _look(run, submission, submission.task)
    if record is None or record.state == "running":
        return None
    await run.tools.checkpoint("seen_done")
    if record.failure is not None:
        await run.refuse(submission.number, record.failure)
    elif not record.urls:
        await run.refuse(
            submission.number, Failure("result_broken", "", "a success without a video's address")
        )
    else:
        return record.urls
    return None


async def _wait(run: "JobRun") -> bool:
    """Until the next look is due or somebody asked for one; False when there is nothing left to look at."""
    timing, watched = run.tools.timing, run.watched
    step = plan.Watch(run.state.submissions[-1])
    due_s = time.monotonic() + poll_pause_s(watched.polls - 1, timing.poll_s, random.random(), run.left_s())
    while True:
        poked = await run.pause(due_s - time.monotonic())
        if poked:
            due_s = min(due_s, watched.polled_s + timing.poke_s)
        await run.reload()  # the monitor, an operator or another run may have decided meanwhile
        if plan.next_step(run.state, run.run, run.tools.clock.now_us()) != step:
            return False
        if time.monotonic() >= due_s:
            return True


async def _read_slot(run: "JobRun", account: str) -> None:
    """Until the provider's limit lets us read; a hint that the task has changed lets us overtake."""
    wait_s = await run.tools.limits.read_wait_s(account)
    if wait_s > 0 and await run.pause(wait_s):
        await run.pause(await run.tools.limits.read_wait_s(account, urgent=True))


async def _look(run: "JobRun", submission: Submission, task: str) -> TaskRecord | None:
    client = run.tools.provider.client(submission.provider_account)
    if client is None:
        POLLS.labels("no_key").inc()
        run.log.error("account_not_configured", account=submission.provider_account, task=task)
        return None
    try:
        record = await client.read_task(task)
    except TaskUnknown as error:
        await _unknown(run, submission, error)
        return None
    except KieError as error:
        POLLS.labels(error.failure.error_class).inc()
        run.log.warning("look_failed", task=task, error=str(error))
        return None
    run.watched.unknown_since_s = None
    POLLS.labels(record.state).inc()
    if record.odd and record.said != run.watched.odd:
        run.watched.odd = record.said
        run.log.warning("task_state_unknown", task=task, state=record.said)
    return record


async def _unknown(run: "JobRun", submission: Submission, error: TaskUnknown) -> None:
    """A task just made may not be visible yet. One that stays invisible is lost: no second one is made."""
    POLLS.labels("unknown_task").inc()
    now_s = time.monotonic()
    if run.watched.unknown_since_s is None:
        run.watched.unknown_since_s = now_s
    if now_s - run.watched.unknown_since_s >= run.tools.timing.unknown_task_s:
        failure = Failure("unclassified", error.failure.code, "the provider does not know its own task")
        await run.refuse(submission.number, failure)
