"""What can happen to one job (one video). Texts, prompts and photos are random references, never content.

Three numbers are kept apart: `run` is the fencing token of whoever works on the job, `submission` counts
calls that may have made the provider work, and crashes are derived from runs that ended without a word.
"""

from typing import Literal

import msgspec

from events.account import Part

PromptSource = Literal["openai", "fallback", "own"]
FailedBy = Literal["worker", "monitor", "operator"]

MESSAGE_CHARS_MAX = 500


class Failure(msgspec.Struct, frozen=True):
    """Why something failed.

    `error_class` is one of the classes of the error policy (`user_violation`, `transient`, `timeout`, …),
    `code` and `message` are the outside's own words. `attempt` is the submission it happened in (0: before
    the first), `task` the provider's task if there was one, `raw` the beginning of what the outside answered.
    `message` and `raw` have at most MESSAGE_CHARS_MAX and are free of secrets and personal data.
    """

    error_class: str
    code: str = ""
    message: str = ""
    attempt: int = 0
    task: str = ""
    raw: str = ""


class Video(msgspec.Struct, frozen=True):
    """A stored video: `blob` is its key in the blob store, whose bytes have this SHA-256 and size."""

    blob: str
    sha256: str
    size_bytes: int


class JobQueued(msgspec.Struct, frozen=True):
    """A job waits to be worked on. Job `number` of `of` in its order; ends before `deadline_at_us`.

    `parts` are those of its charge: where a refund goes back to. A job that makes a failed one again names
    it in `requeue_of`; only such a job may have the price 0 and no charge.
    """

    account: str
    order: str
    number: int
    of: int
    price: int
    model: str
    style: str
    photo: str
    brief: str
    locale: str
    deadline_at_us: int
    parts: tuple[Part, ...] = ()
    requeue_of: str = ""


class JobStarted(msgspec.Struct, frozen=True):
    """A worker took the job. Decisions of earlier runs are refused from here on."""

    run: int
    worker: str


class PromptWritten(msgspec.Struct, frozen=True):
    """The prompt is ready under the reference `prompt`. `reason` says why a fallback was needed."""

    run: int
    prompt: str
    source: PromptSource
    template: str
    reason: str = ""


class SubmissionIntended(msgspec.Struct, frozen=True):
    """Written before the provider is called. Without a later acceptance or failure its outcome is unknown."""

    run: int
    submission: int
    provider_account: str
    model: str


class SubmissionAccepted(msgspec.Struct, frozen=True):
    """The provider has made task `task` out of this submission."""

    submission: int
    task: str


class SubmissionFailed(msgspec.Struct, frozen=True):
    """The provider refused the submission, or its task ended without a usable video."""

    run: int
    submission: int
    failure: Failure


class RetryScheduled(msgspec.Struct, frozen=True):
    """The next submission may be made from `at_us` on."""

    run: int
    at_us: int


class JobHandedBack(msgspec.Struct, frozen=True):
    """The worker of `run` stopped in good order before the end; this run is not a crash."""

    run: int


class JobReissued(msgspec.Struct, frozen=True):
    """An unfinished job is given to the workers once more: no stream entry of it was in anybody's hands."""

    number: int


class JobSucceeded(msgspec.Struct, frozen=True):
    """The video is stored. Terminal."""

    run: int
    submission: int
    video: Video


class JobFailed(msgspec.Struct, frozen=True):
    """The job ended without a video; its charge is refunded in the same transaction. Terminal.

    `actor` is the operator who ended it, empty otherwise.
    """

    by: FailedBy
    failure: Failure
    actor: str = ""


class VideoGifted(msgspec.Struct, frozen=True):
    """A video that came after the job had failed and been refunded. Given free, once."""

    submission: int
    video: Video


class JobRequeued(msgspec.Struct, frozen=True):
    """A failed job is made again, as the new job `as_job` at `price` credits (0: free). Once per job."""

    as_job: str
    price: int
    reason: str
    actor: str


class DeadLetterDropped(msgspec.Struct, frozen=True):
    """An operator has looked at the failed job and leaves it at that."""

    reason: str
    actor: str


JobEvent = (
    JobQueued
    | JobStarted
    | PromptWritten
    | SubmissionIntended
    | SubmissionAccepted
    | SubmissionFailed
    | RetryScheduled
    | JobHandedBack
    | JobReissued
    | JobSucceeded
    | JobFailed
    | VideoGifted
    | JobRequeued
    | DeadLetterDropped
)
