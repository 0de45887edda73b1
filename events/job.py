"""Events of one job (one video).

Texts, prompts, photos and a provider's sentences are random references, never content. `run` is the worker's
fencing token, `submission` counts calls that may have made the provider work, and crashes are derived from
runs that ended without a word.
"""

from typing import Literal

import msgspec

from events.account import Code, Part

PromptSource = Literal["openai", "fallback", "own"]
FailedBy = Literal["worker", "monitor", "operator"]


class Failure(msgspec.Struct, frozen=True):
    """Why something failed, by error class.

    `error_class` is one of the error policy's (`user_violation`, `transient`, `timeout`, …), `code` the
    outside's or ours. `attempt` is the submission (0: before the first), `task` the provider's task if any.
    `ref` is where the outside's sentence is kept, as long as it is; empty: there is none.
    """

    error_class: Code
    code: Code = ""
    attempt: int = 0
    task: str = ""
    ref: Code = ""


class Video(msgspec.Struct, frozen=True):
    """A stored video: its blob store key, SHA-256 and size."""

    blob: str
    sha256: str
    size_bytes: int


class JobQueued(msgspec.Struct, frozen=True):
    """Job `number` of `of` in its order is queued; ends before `deadline_at_us`.

    `parts` are those of its charge: where a refund goes. `requeue_of` is the failed job it makes again; only
    such a job may have the price 0 and no charge. Ordered were `seconds` of a video in `format`: its sides,
    e.g. `9:16`, or `photo` for those of the photo. Empty and 0: as the model makes it.
    """

    stage = "order"
    words = "job{of: {number} of %} queued: {style}, {model}{requeue_of:, % again}, until {deadline_at_us}"
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
    format: str = ""
    seconds: int = 0


class JobStarted(msgspec.Struct, frozen=True):
    """Worker took the job. Decisions of earlier runs are refused from here on."""

    stage = "attempt"
    words = "run {run} by {worker}"
    run: int
    worker: str


class PromptWritten(msgspec.Struct, frozen=True):
    """The prompt is ready under the reference `prompt`. `reason` says why a fallback was needed."""

    stage = "attempt"
    words = "prompt by {source}{reason:: %}"
    run: int
    prompt: str
    source: PromptSource
    template: str
    reason: Code = ""


class SubmissionIntended(msgspec.Struct, frozen=True):
    """Written before the provider is called. Without a later acceptance or failure its outcome is unknown."""

    stage = "attempt"
    words = "submission {submission} announced, provider account {provider_account}"
    run: int
    submission: int
    provider_account: str
    model: str


class SubmissionAccepted(msgspec.Struct, frozen=True):
    stage = "task"
    words = "submission {submission} is the provider's task {task}"
    submission: int
    task: str


class SubmissionFailed(msgspec.Struct, frozen=True):
    """Submission refused, or its task ended without a usable video.

    `charged_milli`, here and below, is what the provider charged for the task, in thousandths of its credits;
    None: it did not say.
    """

    stage = "attempt"
    words = "submission {submission} failed: {failure}{charged_milli:, charged %}"
    run: int
    submission: int
    failure: Failure
    charged_milli: int | None = None


class RetryScheduled(msgspec.Struct, frozen=True):
    stage = "attempt"
    words = "next submission from {at_us} on"
    run: int
    at_us: int


class JobHandedBack(msgspec.Struct, frozen=True):
    """Worker of `run` stopped in good order: this run is not a crash."""

    stage = "attempt"
    words = "run {run} handed the job back"
    run: int


class JobReissued(msgspec.Struct, frozen=True):
    """Orphaned job given to the workers once more."""

    stage = "attempt"
    words = "given to the workers once more: its stream entry was in nobody's hands"
    number: int


class JobSucceeded(msgspec.Struct, frozen=True):
    """The video is stored. Terminal."""

    stage = "video"
    words = "video stored: {video}{charged_milli:, charged %}"
    run: int
    submission: int
    video: Video
    charged_milli: int | None = None


class JobFailed(msgspec.Struct, frozen=True):
    """Job ended without a video, refunded in the same transaction. `reason`: an operator's."""

    stage = "failure"
    words = "failed by {by}: {failure}{reason:: %}"
    by: FailedBy
    failure: Failure
    actor: str = ""
    reason: str = ""


class VideoGifted(msgspec.Struct, frozen=True):
    """Late video after failure and refund, given free, once."""

    stage = "video"
    words = "late video, given free: {video}{charged_milli:, charged %}"
    submission: int
    video: Video
    charged_milli: int | None = None


class VideoRated(msgspec.Struct, frozen=True):
    """The seller gave the video 1 to 5 stars, once."""

    stage = "video"
    words = "rated with {stars} of 5 stars"
    stars: int


class JobRequeued(msgspec.Struct, frozen=True):
    """Failed job made again as `as_job`, once per job. For `price` credits; 0: free."""

    stage = "requeue"
    words = "made again as {as_job}, {price:%|free}: {reason}, by {actor}"
    as_job: str
    price: int
    reason: str
    actor: str


class DeadLetterDropped(msgspec.Struct, frozen=True):
    """Operator leaves the failed job at that."""

    stage = "failure"
    words = "left at that: {reason}, by {actor}"
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
    | VideoRated
    | JobRequeued
    | DeadLetterDropped
)
