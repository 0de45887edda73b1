"""Job state folded from its events. Pure."""

from typing import Literal, assert_never

import msgspec
from msgspec.structs import replace

from events import job
from events.account import Part

Outcome = Literal["", "succeeded", "failed"]


class Submission(msgspec.Struct, frozen=True):
    """Announced call to the provider; without `task` and `failure` unknown."""

    number: int
    provider_account: str
    model: str
    task: str | None = None
    failure: job.Failure | None = None


class JobState(msgspec.Struct, frozen=True):
    """What the rules need to know of a job.

    `account`, `price`, `parts` (of the charge) and `outcome` are the minimal fold that a refund needs; they
    stay right even when `broken` says that some event could not be read. `crashes` counts runs that ended
    without progress and without handing back. `requeued_as` is the job that makes this failed one again.
    """

    account: str = ""
    price: int = 0
    parts: tuple[Part, ...] = ()
    outcome: Outcome = ""
    broken: str = ""
    queued: job.JobQueued | None = None
    run: int = 0
    worker: str = ""
    run_open: bool = False
    progressed: bool = False
    crashes: int = 0
    prompt: job.PromptWritten | None = None
    submissions: tuple[Submission, ...] = ()
    retry_at_us: int | None = None
    failure: job.Failure | None = None
    video: job.Video | None = None
    reissues: int = 0
    requeued_as: str = ""
    dropped: bool = False
    stars: int = 0

    @property
    def live_submission(self) -> Submission | None:
        """Submission that is unknown or whose task still runs."""
        last = self.submissions[-1] if self.submissions else None
        return last if last is not None and last.failure is None else None

    @property
    def undecided(self) -> Submission | None:
        """The failed last submission, while neither retry nor failure followed."""
        last = self.submissions[-1] if self.submissions else None
        failed = last is not None and last.failure is not None
        return last if failed and self.retry_at_us is None and not self.outcome else None


def evolve(state: JobState, event: job.JobEvent) -> JobState:
    match event:
        case job.JobQueued():
            return replace(state, account=event.account, price=event.price, parts=event.parts, queued=event)
        case job.JobStarted():
            crashed = state.run_open and not state.progressed
            return replace(
                state,
                run=event.run,
                worker=event.worker,
                run_open=True,
                progressed=False,
                crashes=state.crashes + crashed,
            )
        case job.JobHandedBack():
            return replace(state, run_open=False)
        case job.PromptWritten():
            return replace(state, prompt=event, progressed=True)
        case job.SubmissionIntended():
            intended = Submission(event.submission, event.provider_account, event.model)
            return replace(
                state, submissions=(*state.submissions, intended), retry_at_us=None, progressed=True
            )
        case job.SubmissionAccepted():
            return _with_submission(state, event.submission, task=event.task)
        case job.SubmissionFailed():
            return _with_submission(state, event.submission, failure=event.failure)
        case job.RetryScheduled():
            return replace(state, retry_at_us=event.at_us, progressed=True)
        case job.JobSucceeded():
            return replace(state, outcome="succeeded", video=event.video, run_open=False)
        case job.JobFailed():
            return replace(state, outcome="failed", failure=event.failure, run_open=False)
        case job.VideoGifted():
            return replace(state, video=event.video)
        case job.JobReissued():
            return replace(state, reissues=event.number)
        case job.JobRequeued():
            return replace(state, requeued_as=event.as_job)
        case job.DeadLetterDropped():
            return replace(state, dropped=True)
        case job.VideoRated():
            return replace(state, stars=event.stars)
        case _ as never:
            assert_never(never)


def _with_submission(
    state: JobState, number: int, *, task: str | None = None, failure: job.Failure | None = None
) -> JobState:
    submissions = tuple(
        replace(s, task=task or s.task, failure=failure or s.failure) if s.number == number else s
        for s in state.submissions
    )
    return replace(state, submissions=submissions, progressed=True)
