"""Rules of jobs: pure functions, without clock, randomness or I/O.

Decisions (start, intend, fail) are fenced by the current run. Facts (a task the provider made, a stored
video) never are: what happened outside is recorded even after a refund.

A failed job has its one outcome and its refund. An operator may make it again as a new job with a stream, a
charge (unless it is free) and an outcome of its own, so "one charge, one outcome" and the guards in the
database hold for it too.
"""

from typing import assert_never

from msgspec.structs import replace

from events import job
from events.account import CreditsCharged, Part
from events.stream_names import account_stream, job_stream
from ledger import commands as c
from ledger import errors
from ledger.accounts.decider import (
    AMOUNT_MAX,
    Charge,
    NewEvents,
    View,
    account_of,
    expire,
    refund,
    require_actor,
    require_codes,
    require_said,
    state_of,
)
from ledger.accounts.lots import draw
from ledger.accounts.state import AccountState
from ledger.jobs.state import JobState, Submission

STARS_MAX = 5


def decide(view: View, command: c.JobCommand, now_us: int) -> NewEvents:
    """The command's events with their streams. Raises RejectedError."""
    state = state_of(view, job_stream(command.job), JobState)
    match command:
        case c.StartJob():
            return start(state, command, now_us)
        case c.RecordPrompt():
            return record_prompt(state, command)
        case c.IntendSubmission():
            return intend(state, command, now_us)
        case c.RecordAccepted():
            return record_accepted(state, command)
        case c.FailSubmission():
            return fail_submission(state, account_of(view, command.account), command, now_us)
        case c.HandBackJob():
            return hand_back(state, command)
        case c.SucceedJob():
            return succeed(state, command)
        case c.FailJob():
            return fail(state, account_of(view, command.account), command, now_us)
        case c.ReissueJob():
            return reissue(state, command, now_us)
        case c.RequeueJob():
            return requeue(state, account_of(view, command.account), command, now_us)
        case c.DropDeadLetter():
            return drop(state, command)
        case c.RateVideo():
            return rate(state, account_of(view, command.account), command)
        case _ as never:
            assert_never(never)


def start(state: JobState, command: c.StartJob, now_us: int) -> NewEvents:
    queued = _require_running(state)
    if command.run != state.run + 1:
        raise errors.StaleRunError(command.run, state.run)
    if now_us >= queued.deadline_at_us:
        raise errors.DeadlinePassedError("the deadline has passed; fail the job instead")
    return [(job_stream(command.job), job.JobStarted(command.run, command.worker))]


def record_prompt(state: JobState, command: c.RecordPrompt) -> NewEvents:
    """PromptWritten, once per job."""
    _require_run(state, command.run)
    if state.prompt is not None:
        return []
    require_codes(command.reason)
    written = job.PromptWritten(command.run, command.prompt, command.source, command.template, command.reason)
    return [(job_stream(command.job), written)]


def intend(state: JobState, command: c.IntendSubmission, now_us: int) -> NewEvents:
    """SubmissionIntended, when no earlier one is open and it is due."""
    queued = _require_run(state, command.run)
    if state.prompt is None:
        raise errors.InvalidCommandError("there is no prompt to submit yet")
    if state.live_submission is not None:
        raise errors.SubmissionOpenError(f"submission {state.live_submission.number} is not over")
    if state.undecided is not None:
        raise errors.SubmissionOpenError(
            f"submission {state.undecided.number} failed; say first what follows"
        )
    if command.submission != len(state.submissions) + 1:
        raise errors.InvalidCommandError(f"the next submission is number {len(state.submissions) + 1}")
    if state.retry_at_us is not None and now_us < state.retry_at_us:
        raise errors.NotDueError("the retry's time has not come")
    if now_us >= queued.deadline_at_us:
        raise errors.DeadlinePassedError("the deadline has passed; fail the job instead")
    intended = job.SubmissionIntended(
        command.run, command.submission, command.provider_account, command.model
    )
    return [(job_stream(command.job), intended)]


def record_accepted(state: JobState, command: c.RecordAccepted) -> NewEvents:
    """SubmissionAccepted, or nothing when this very task is recorded."""
    submission = _require_submission(state, command.submission)
    if submission.task == command.task:
        return []
    if submission.task is not None:
        raise errors.TaskMismatchError(f"submission {submission.number} has another task")
    if not 0 < len(command.task) <= 128:
        raise errors.InvalidCommandError("a task id has 1 to 128 characters")
    return [(job_stream(command.job), job.SubmissionAccepted(command.submission, command.task))]


def fail_submission(
    state: JobState, payer: AccountState, command: c.FailSubmission, now_us: int
) -> NewEvents:
    """SubmissionFailed with either RetryScheduled or the job's failure and refund.

    That a call was refused is a fact only its caller knows, what follows is a decision: a run that has lost
    the job records the refusal alone, and the current run decides with a command like it.
    """
    queued = _require_running(state)
    _require_payer(state, command)
    open_one = state.live_submission or state.undecided
    known = open_one is not None and open_one.number == command.submission
    stream = job_stream(command.job)
    failure = _placed(state, command.failure, command.submission)
    failed = job.SubmissionFailed(command.run, command.submission, failure, command.charged_milli)
    if command.run != state.run or not state.run_open:
        if open_one is None or not known or open_one.task or open_one.failure:
            raise errors.StaleRunError(command.run, state.run)
        return [(stream, failed)]
    if open_one is None or not known:
        raise errors.InvalidCommandError(f"submission {command.submission} is not the open one")
    if open_one.failure is not None:
        failure, facts = open_one.failure, []
    else:
        facts = [(stream, failed)]
    if command.retry_at_us is not None and command.retry_at_us < queued.deadline_at_us:
        return [*facts, (stream, job.RetryScheduled(command.run, command.retry_at_us))]
    return [*facts, *_failed(state, payer, command, job.JobFailed("worker", failure), now_us)]


def hand_back(state: JobState, command: c.HandBackJob) -> NewEvents:
    """JobHandedBack, or nothing when the job has moved on."""
    if state.outcome or not state.run_open or state.run != command.run:
        return []
    if command.worker and command.worker != state.worker:
        return []  # the run was started by another worker
    return [(job_stream(command.job), job.JobHandedBack(command.run))]


def succeed(state: JobState, command: c.SucceedJob) -> NewEvents:
    """JobSucceeded; after a failure VideoGifted, once; nothing when a video is recorded."""
    _require_submission(state, command.submission)
    if state.video is not None:
        return []
    stream = job_stream(command.job)
    if state.outcome == "failed":
        return [(stream, job.VideoGifted(command.submission, command.video, command.charged_milli))]
    made = job.JobSucceeded(command.run, command.submission, command.video, command.charged_milli)
    return [(stream, made)]


def fail(state: JobState, payer: AccountState, command: c.FailJob, now_us: int) -> NewEvents:
    """JobFailed and CreditsRefunded together. Needs the minimal fold only."""
    _require_payer(state, command)
    require_actor(command.actor)
    if state.outcome:
        raise errors.JobFinishedError(state.outcome)
    due = state.queued is None or now_us >= state.queued.deadline_at_us
    if command.by == "monitor" and not due:
        raise errors.NotDueError("the deadline has not passed")
    if command.by == "worker" and command.run != state.run and not due:
        raise errors.StaleRunError(command.run or 0, state.run)
    failure = _placed(state, command.failure, command.failure.attempt or len(state.submissions))
    failed = job.JobFailed(command.by, failure, command.actor, command.reason)
    return _failed(state, payer, command, failed, now_us)


def _placed(state: JobState, failure: job.Failure, attempt: int) -> job.Failure:
    require_codes(failure.error_class, failure.code, failure.ref)
    tasks = [submission.task for submission in state.submissions if submission.number == attempt]
    return replace(failure, attempt=attempt, task=(tasks[0] if tasks else None) or "")


def _failed(
    state: JobState,
    payer: AccountState,
    command: c.FailJob | c.FailSubmission,
    failed: job.JobFailed,
    now_us: int,
) -> NewEvents:
    if not state.price:  # made again free of charge: there is nothing to give back
        return [(job_stream(command.job), failed)]
    charge = Charge(state.account, command.job, state.price, state.parts)
    refunded = refund(payer, charge, failed.failure.error_class, now_us, command.refund_life_s)
    return [(job_stream(command.job), failed), *refunded]


def _require_payer(state: JobState, command: c.FailJob | c.FailSubmission) -> None:
    """The account named by the command must be the one to refund."""
    if not state.account or state.account != command.account:
        raise errors.JobNotFoundError(f"job {command.job} of account {command.account} does not exist")


def _require_running(state: JobState) -> job.JobQueued:
    if not state.account:
        raise errors.JobNotFoundError("the job was never queued")
    if state.outcome:
        raise errors.JobFinishedError(state.outcome)
    if state.broken or state.queued is None:
        raise errors.UnreadableJobError(f"the job cannot be read ({state.broken}); fail it to refund it")
    return state.queued


def _require_run(state: JobState, run: int) -> job.JobQueued:
    queued = _require_running(state)
    if run != state.run or not state.run_open:
        raise errors.StaleRunError(run, state.run)
    return queued


def _require_submission(state: JobState, number: int) -> Submission:
    for submission in state.submissions:
        if submission.number == number:
            return submission
    raise errors.TaskMismatchError(f"no submission {number} was announced")


def reissue(state: JobState, command: c.ReissueJob, now_us: int) -> NewEvents:
    """JobReissued, which brings a new stream entry; once per number."""
    if not state.account:
        raise errors.JobNotFoundError("the job was never queued")
    if state.outcome:
        raise errors.JobFinishedError(state.outcome)
    if state.queued is not None and now_us >= state.queued.deadline_at_us:
        raise errors.DeadlinePassedError("the deadline has passed; fail the job instead")
    if command.number <= state.reissues:
        return []
    if command.number != state.reissues + 1:
        raise errors.InvalidCommandError(f"the next time is number {state.reissues + 1}")
    return [(job_stream(command.job), job.JobReissued(command.number))]


def requeue(state: JobState, payer: AccountState, command: c.RequeueJob, now_us: int) -> NewEvents:
    """JobRequeued, and a new JobQueued with CreditsCharged unless it is free."""
    queued = _require_failed(state, command.account)
    if state.requeued_as:
        raise errors.AlreadyRequeuedError(state.requeued_as)
    if state.video is not None:
        raise errors.JobFinishedError("been given its late video")
    require_said(command.actor, command.reason)
    if command.deadline_s <= 0 or not command.as_job or command.as_job == command.job:
        raise errors.InvalidCommandError(
            "a job that is made again needs a name of its own and a deadline ahead"
        )
    if payer.forgotten:
        raise errors.AccountErasedError(f"account {command.account} was erased; nothing can be made for it")
    requeued = job.JobRequeued(command.as_job, command.price, command.reason, command.actor)
    charged, parts = _charge(payer, command, now_us)
    fresh = job.JobQueued(
        account=command.account,
        order=command.as_job,
        number=1,
        of=1,
        price=command.price,
        model=command.model,
        style=queued.style,
        photo=queued.photo,
        brief=queued.brief,
        locale=queued.locale,
        deadline_at_us=now_us + command.deadline_s * 1_000_000,
        parts=parts,
        requeue_of=command.job,
        format=queued.format,
        seconds=queued.seconds if command.model == queued.model else 0,
    )
    return [(job_stream(command.job), requeued), *charged, (job_stream(command.as_job), fresh)]


def drop(state: JobState, command: c.DropDeadLetter) -> NewEvents:
    _require_failed(state, state.account)
    if state.requeued_as:
        raise errors.AlreadyRequeuedError(state.requeued_as)
    require_said(command.actor, command.reason)
    if state.dropped:
        return []
    return [(job_stream(command.job), job.DeadLetterDropped(command.reason, command.actor))]


def rate(state: JobState, seller: AccountState, command: c.RateVideo) -> NewEvents:
    """VideoRated; nothing when it has these stars. Needs a video, a late one too."""
    if not state.account or state.account != command.account:
        raise errors.JobNotFoundError("there is no such job of this account")
    if seller.forgotten:
        raise errors.AccountErasedError(f"account {command.account} was erased; it rates nothing")
    if state.video is None:
        raise errors.JobUnfinishedError("there is no video yet that could be rated")
    if not 1 <= command.stars <= STARS_MAX:
        raise errors.InvalidCommandError(f"a video has 1 to {STARS_MAX} stars, not {command.stars}")
    if state.stars == command.stars:
        return []
    if state.stars:
        raise errors.AlreadyExistsError(f"the video was rated with {state.stars} stars; it is rated once")
    return [(job_stream(command.job), job.VideoRated(command.stars))]


def _charge(payer: AccountState, command: c.RequeueJob, now_us: int) -> tuple[NewEvents, tuple[Part, ...]]:
    price = command.price
    if not 0 <= price <= AMOUNT_MAX:
        raise errors.InvalidCommandError(f"a price is 0 to {AMOUNT_MAX} credits, not {price}")
    if not price:
        return [], ()
    if payer.broken:
        raise errors.UnreadableAccountError(f"account {command.account} cannot be read: {payer.broken}")
    expired, payer = expire(payer, command.account, now_us)
    if payer.balance < price:
        raise errors.InsufficientCreditsError(payer.balance, price)
    parts, _ = draw(payer.lots, price)
    charged = CreditsCharged(command.as_job, command.as_job, price, parts)
    return [*expired, (account_stream(command.account), charged)], parts


def _require_failed(state: JobState, account: str) -> job.JobQueued:
    if not state.account or state.account != account:
        raise errors.JobNotFoundError("there is no such job of this account")
    if not state.outcome:
        raise errors.JobUnfinishedError("the job has not ended yet; cancel it first, or wait")
    if state.outcome != "failed":
        raise errors.JobFinishedError(state.outcome)
    if state.queued is None:
        raise errors.UnreadableJobError("the job's order cannot be read, so nothing can be made of it again")
    return state.queued
