"""Polling the provider's task until it is done."""

import random
import time

from ledger.jobs.state import Submission
from services.adapters.kie.envelope import TaskRecord
from services.adapters.kie.errors import KieError, TaskUnknownError
from services.adapters.kie.failures import KieFailure
from services.generation.error_classes import policy_for
from services.platform.tracing import traced
from services.worker import next_step
from services.worker.metrics import POLLS
from services.worker.retry_policy import poll_pause_s
from services.worker.run import JobRun, PollState
from services.worker.steps.handle_failure import submission_failed


@traced("poll")
async def poll_task(run: JobRun, submission: Submission) -> TaskRecord | None:
    """One pause and one look. The task's record once there is a video; None: nothing to fetch yet."""
    assert submission.task is not None
    if run.polled.task != submission.task:
        run.polled = PollState(submission.task)
    elif not await _wait(run):
        return None
    await _read_slot(run, submission.provider_account)
    run.polled.polled_s = time.monotonic()
    run.polled.polls += 1
    record = await _look(run, submission, submission.task)
    if record is None or record.state == "running":
        return None
    await run.context.checkpoint("seen_done")
    if record.failure is not None:
        await submission_failed(run, submission.number, record.failure, charged_milli=record.charged_milli)
        return None
    return record


async def _wait(run: JobRun) -> bool:
    """Wait until the next look is due or poked; False when there is nothing left to look at."""
    timing, polled = run.context.timing, run.polled
    step = next_step.PollTask(run.state.submissions[-1])
    now_s, left_s = time.monotonic(), run.left_s()
    due_s = now_s + poll_pause_s(polled.polls - 1, timing.poll_s, random.random(), left_s)
    due_s = max(due_s, min(polled.not_before_s, now_s + left_s))
    while True:
        poked = await run.pause(due_s - time.monotonic())
        if poked:
            due_s = min(due_s, max(polled.not_before_s, polled.polled_s + timing.poke_s))
        await run.reload()  # the monitor, an operator or another run may have decided meanwhile
        if run.needed_step() != step:
            return False
        if time.monotonic() >= due_s:
            return True


async def _read_slot(run: JobRun, account: str) -> None:
    """Wait for the provider's read limit; a hint that the task has changed overtakes."""
    limits, urgent = run.context.limits, False
    due_s = time.monotonic() + await limits.read_wait_s(account)
    while (left_s := due_s - time.monotonic()) > 0:
        poked = await run.pause(left_s)  # news of another kind end it too, and give no right to overtake
        if poked and not urgent:
            urgent = True
            due_s = min(due_s, time.monotonic() + await limits.read_wait_s(account, urgent=True))


async def _look(run: JobRun, submission: Submission, task: str) -> TaskRecord | None:
    client = run.context.provider.client(submission.provider_account)
    if client is None:
        POLLS.labels("no_key").inc()
        run.log.error("account_not_configured", provider_account=submission.provider_account, task=task)
        return None
    try:
        record = await client.read_task(task)
    except TaskUnknownError as error:
        await _unknown(run, submission, error)
        return None
    except KieError as error:
        _not_seen(run, submission, error)
        return None
    run.trouble = None
    run.polled.unknown_since_s = None
    POLLS.labels(record.state).inc()
    if record.odd and record.said != run.polled.odd:
        run.polled.odd = record.said
        run.log.warning("task_state_unknown", task=task, state=record.said)
    return record


def _not_seen(run: JobRun, submission: Submission, error: KieError) -> None:
    """No word about the task: it goes on without us; the next look is not before `retry_after_s`."""
    run.polled.not_before_s = time.monotonic() + (error.retry_after_s or 0.0)
    run.trouble = said = error.failure
    POLLS.labels(said.error_class).inc()
    tell = run.log.error if policy_for(said.error_class).alarms else run.log.warning
    tell("look_failed", task=submission.task, error_class=said.error_class, code=said.code)


async def _unknown(run: JobRun, submission: Submission, error: TaskUnknownError) -> None:
    """A task just made may not be visible yet. One that stays invisible is lost: no second one is made."""
    POLLS.labels("unknown_task").inc()
    now_s = time.monotonic()
    if run.polled.unknown_since_s is None:
        run.polled.unknown_since_s = now_s
    if now_s - run.polled.unknown_since_s >= run.context.timing.unknown_task_s:
        words = "the provider does not know its own task"
        failure = KieFailure("unclassified", error.failure.code, words, error.failure.raw)
        await submission_failed(run, submission.number, failure)
