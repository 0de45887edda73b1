"""Failure handling: recorded, logged, consequences by class (services/generation/error_classes.py)."""

import random

from msgspec.structs import asdict, replace

from events.job import Failure
from ledger.commands import FailJob, FailSubmission
from ledger.jobs.state import JobState, Submission
from services.adapters.kie.failures import KieFailure
from services.generation.error_classes import policy_for
from services.worker.metrics import JOBS_ENDED, SUBMISSIONS
from services.worker.retry_policy import retry_pause_s
from services.worker.run import JobRun
from services.worker.steps.select_model import has_alternative, report_refused

ERASED = Failure("unclassified", "text_erased")


async def fail(run: JobRun, failure: Failure) -> None:
    """End the job without a video, with its refund."""
    life_s = run.context.timing.refund_life_s
    command = FailJob(run.job, run.state.account, "worker", failure, run.state.run, life_s)
    if await run.append(command, key=f"fail:{run.job}:worker{run.state.run}"):
        _ended(run)


async def fail_at_deadline(run: JobRun, code: str) -> None:
    """The deadline has passed; kept is what the provider last did instead of answering."""
    heard = run.trouble
    before = " ".join(filter(None, (heard.error_class, heard.code, heard.message))) if heard else ""
    said = KieFailure("timeout", code, before and f"before it: {before}", heard.raw if heard else "")
    await fail(run, await keep_words(run, said))


async def submission_failed(
    run: JobRun,
    number: int,
    said: KieFailure,
    retry_after_s: float | None = None,
    *,
    charged_milli: int | None = None,
) -> None:
    failure = await keep_words(run, said)
    pause_s = _pause_s(run, run.state, failure, retry_after_s)
    await _carry_out(run, number, failure)
    if policy_for(failure.error_class).pauses_model:
        # Told first: only then it is known whether another model takes over.
        await report_refused(run, number, failure)
        pause_s = 0.0 if await has_alternative(run, number) else None
    if await _decide(run, number, failure, pause_s, charged_milli):
        SUBMISSIONS.labels(failure.error_class).inc()
        if policy_for(failure.error_class).blames_model:
            await report_refused(run, number, failure)
    await run.context.checkpoint("refused")


async def decide_retry(run: JobRun, submission: Submission) -> None:
    """Decide on a refusal recorded by a run without the job."""
    failure = submission.failure
    assert failure is not None
    before = replace(run.state, submissions=(*run.state.submissions[:-1], replace(submission, failure=None)))
    pause_s = _pause_s(run, before, failure, None)
    if policy_for(failure.error_class).pauses_model:
        pause_s = 0.0 if await has_alternative(run, submission.number) else None
    await _decide(run, submission.number, failure, pause_s)


def _pause_s(run: JobRun, before: JobState, failure: Failure, retry_after_s: float | None) -> float | None:
    return retry_pause_s(
        before,
        failure,
        base_s=run.context.timing.retry_base_s,
        chance=random.random(),
        retry_after_s=retry_after_s,
        accounts=len(run.context.accounts),
    )


async def _decide(
    run: JobRun, number: int, failure: Failure, pause_s: float | None, charged_milli: int | None = None
) -> bool:
    """Record the decision; whether the ledger took it."""
    life_s, now_us = run.context.timing.refund_life_s, run.context.store.ledger.now_us()
    retry_at_us = None if pause_s is None else now_us + int(pause_s * 1_000_000)
    assert run.run is not None
    command = FailSubmission(
        run.job, run.state.account, run.run, number, failure, retry_at_us, life_s, charged_milli
    )
    if not await run.append(command, key=f"refuse:{run.job}:{number}:{run.run}"):
        return False
    recorded = run.state.submissions[number - 1].failure or failure
    if run.state.outcome:
        _ended(run)
    elif run.state.undecided is not None:
        run.log.warning(
            "submission_failed",
            **asdict(recorded),
            decided_by=f"run {run.state.run}",
            position=run.position,
        )
    else:
        run.log.warning("submission_failed", **asdict(recorded), again_in_s=pause_s, position=run.position)
    return True


async def keep_words(run: JobRun, said: KieFailure, attempt: int = 0) -> Failure:
    """Keep a failure's words beside the log; the failure for an event."""
    ref = await run.context.store.keep_words(run.state.account, said.words) if said.words else ""
    return Failure(said.error_class, said.code, attempt, ref=ref)


async def _carry_out(run: JobRun, number: int, failure: Failure) -> None:
    """Apply a class's consequences beside the job; the submission is over either way."""
    limits, policy = run.context.limits, policy_for(failure.error_class)
    await limits.done(run.job, run.state.account)
    if policy.rests_key:
        account = run.state.submissions[number - 1].provider_account
        rest_s = await limits.rest(account)
        run.log.error(
            "account_rests", provider_account=account, for_s=rest_s, error_class=failure.error_class
        )


def _ended(run: JobRun) -> None:
    failure = run.state.failure
    if failure is None:  # somebody else ended it otherwise
        return
    policy = policy_for(failure.error_class)
    JOBS_ENDED.labels("failed", failure.error_class).inc()
    tell = run.log.error if policy.alarms else run.log.warning
    tell("job_failed", **asdict(failure), alarm=policy.alarms, parked=policy.parks, position=run.position)
