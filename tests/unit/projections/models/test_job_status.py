"""What a job's row says after its events."""

from typing import get_args

import pytest

from events.account import CreditsGranted
from events.codec import Event
from events.job import (
    DeadLetterDropped,
    Failure,
    JobEvent,
    JobFailed,
    JobHandedBack,
    JobQueued,
    JobReissued,
    JobRequeued,
    JobStarted,
    JobSucceeded,
    PromptWritten,
    RetryScheduled,
    SubmissionAccepted,
    SubmissionFailed,
    SubmissionIntended,
    VideoGifted,
    VideoRated,
)
from projections.engine.errors import UnfoldableEventError
from projections.models.job_status import _CHANGES, JOB_STATUS, JobStatus
from tests.support.each import each
from tests.support.event_samples import TIMED_OUT, VIDEO, ordered
from tests.support.history import History

JOB = "job-j"
STARTED = JobStarted(1, "w1")
PROMPT = PromptWritten(1, "prompt", "openai", "ugc")
INTENDED = SubmissionIntended(1, 1, "key-1", "seedance")
ACCEPTED = SubmissionAccepted(1, "task-1")
BUSY = Failure("transient", "500", ref="busy")
RETRIED = (SubmissionFailed(1, 1, BUSY), RetryScheduled(1, 50_000_000))
SUCCEEDED = JobSucceeded(1, 1, VIDEO)
FAILED = JobFailed("monitor", TIMED_OUT)


def after(*events: Event) -> JobStatus:
    """The row of job `j` after it was queued and these events, each a second after the other."""
    history = History()
    ordered(history, "j")
    for event in events:
        history.record((JOB, event))
    return JOB_STATUS.fold_all(history.events)["j"]


@each(
    ("events", "state"),
    [
        ((), "queued"),
        ((STARTED,), "writing"),
        ((STARTED, JobHandedBack(1)), "writing"),
        ((STARTED, JobReissued(1)), "writing"),
        ((STARTED, PROMPT), "submitting"),
        ((STARTED, PROMPT, INTENDED), "submitting"),
        ((STARTED, PROMPT, INTENDED, ACCEPTED), "rendering"),
        ((STARTED, PROMPT, INTENDED, ACCEPTED, JobStarted(2, "w2")), "rendering"),
        ((STARTED, PROMPT, INTENDED, *RETRIED), "retrying"),
        ((STARTED, PROMPT, INTENDED, *RETRIED, SubmissionIntended(1, 2, "key-1", "m")), "submitting"),
        ((STARTED, PROMPT, INTENDED, ACCEPTED, SUCCEEDED), "succeeded"),
        ((STARTED, FAILED), "failed"),
        ((STARTED, PROMPT, INTENDED, FAILED, ACCEPTED), "failed"),
        ((STARTED, PROMPT, INTENDED, ACCEPTED, FAILED, VideoGifted(1, VIDEO)), "failed"),
    ],
)
def test_the_state_follows_the_events(events: tuple[Event, ...], state: str):
    assert after(*events).state == state


def test_a_queued_job_says_what_was_ordered():
    assert after() == JobStatus(
        job="j",
        account="a",
        order_id="o",
        number=1,
        of_jobs=1,
        model="seedance",
        style="ugc",
        photo="photos/p.jpg",
        price=1,
        queued_at_us=2_000_000,
        deadline_at_us=99_000_000,
        updated_at_us=2_000_000,
        position=2,
    )


def test_a_video_is_told_with_its_times():
    row = after(STARTED, PROMPT, INTENDED, ACCEPTED, SUCCEEDED)
    assert (row.video, row.video_sha256, row.video_size_bytes) == ("videos/v.mp4", "ab" * 32, 1234)
    assert (row.started_at_us, row.ended_at_us, row.run, row.worker) == (3_000_000, 7_000_000, 1, "w1")
    assert (row.prompt_source, row.submissions, row.task, row.failure_class) == ("openai", 1, "task-1", "")


def test_success_after_a_retry_leaves_no_failure_behind():
    second = (SubmissionIntended(1, 2, "key-1", "m"), SubmissionAccepted(2, "task-2"))
    row = after(STARTED, PROMPT, INTENDED, ACCEPTED, *RETRIED, *second, SUCCEEDED)
    assert (row.failure_class, row.retry_at_us, row.submissions, row.task) == ("", None, 2, "task-2")


def test_waiting_for_a_retry_tells_why_and_until_when():
    row = after(STARTED, PROMPT, INTENDED, *RETRIED)
    assert (row.failure_class, row.failure_code, row.failure_ref) == ("transient", "500", "busy")
    assert row.retry_at_us == 50_000_000


def test_a_late_task_of_an_earlier_submission_does_not_replace_the_current_one():
    second = (SubmissionIntended(1, 2, "key-1", "m"), SubmissionAccepted(2, "task-2"))
    row = after(STARTED, PROMPT, INTENDED, *RETRIED, *second, ACCEPTED)
    assert (row.task, row.state) == ("task-2", "rendering")


def test_a_gift_keeps_the_failure_and_its_time():
    row = after(STARTED, PROMPT, INTENDED, FAILED, VideoGifted(1, VIDEO))
    assert (row.gifted, row.video, row.state) == (True, "videos/v.mp4", "failed")
    assert (row.failed_by, row.failure_class, row.ended_at_us) == ("monitor", "timeout", 6_000_000)


def test_a_second_run_keeps_the_first_start():
    row = after(STARTED, JobHandedBack(1), JobStarted(2, "w2"))
    assert (row.run, row.worker, row.started_at_us) == (2, "w2", 3_000_000)


def test_an_event_before_the_queueing_is_refused():
    history = History()
    with pytest.raises(UnfoldableEventError, match="JobStarted at position 1 comes before JobQueued"):
        JOB_STATUS.fold_all(history.record((JOB, STARTED)))


def test_an_account_event_in_a_job_stream_is_refused():
    history = History()
    (recorded,) = history.record((JOB, CreditsGranted(1, "bonus", "x", 1)))
    with pytest.raises(UnfoldableEventError, match="CreditsGranted at position 1 is no job's event"):
        JOB_STATUS.fold_all([recorded])


def test_a_failed_job_tells_what_an_operator_did_with_it():
    row = after(FAILED, DeadLetterDropped("seen", "login:op"), JobRequeued("j2", 0, "mended", "login:op"))
    assert (row.state, row.dropped, row.requeued_as) == ("failed", True, "j2")


def test_a_rating_is_the_sellers_last_word():
    row = after(STARTED, PROMPT, INTENDED, SUCCEEDED, VideoRated(5))
    assert (row.stars, row.state, after(STARTED).stars) == (5, "succeeded", 0)


def test_every_event_of_a_job_changes_its_row_in_a_way_of_its_own() -> None:
    assert {JobQueued, *_CHANGES} == set(get_args(JobEvent))
