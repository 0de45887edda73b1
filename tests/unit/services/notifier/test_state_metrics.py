"""Stays in states, out of a job's events."""

from services.notifier.state_metrics import JobEventRef, JobProgress, State, progress_after, step
from tests.support.each import each

S = 1_000_000


def play(*events: tuple[str, int]) -> tuple[JobProgress, list[tuple[State, float]]]:
    """The job after events given with their seconds, and all its stays."""
    job, stays = JobProgress(), []
    for version, (kind, at_s) in enumerate(events, 1):
        job, stay = step(job, JobEventRef(version, kind, at_s * S))
        stays += [stay] if stay else []
    return job, stays


def test_every_state_of_a_job_that_goes_well() -> None:
    job, stays = play(
        ("JobQueued", 100),
        ("JobStarted", 101),
        ("PromptWritten", 104),
        ("SubmissionIntended", 109),
        ("SubmissionAccepted", 111),
        ("JobSucceeded", 171),
    )
    assert stays == [
        ("queued", 1),
        ("writing", 3),
        ("submitting", 7),
        ("rendering", 60),
    ]
    assert (job.state, job.queued_us, job.submissions, job.runs) == ("succeeded", 100 * S, 1, 1)


def test_a_retry_is_a_state_of_its_own() -> None:
    job, stays = play(
        ("JobQueued", 0),
        ("JobStarted", 0),
        ("PromptWritten", 0),
        ("SubmissionIntended", 0),
        ("SubmissionFailed", 5),
        ("RetryScheduled", 5),
        ("SubmissionIntended", 9),
        ("JobFailed", 12),
    )
    assert stays[-3:] == [
        ("submitting", 5),
        ("retrying", 4),
        ("submitting", 3),
    ]
    assert job.state == "failed" and job.submissions == 2


def test_a_run_that_takes_over_ends_no_stay() -> None:
    job, stays = play(
        ("JobQueued", 0),
        ("JobStarted", 1),
        ("PromptWritten", 2),
        ("SubmissionIntended", 2),
        ("SubmissionAccepted", 3),
        ("JobHandedBack", 10),
        ("JobStarted", 11),
        ("JobSucceeded", 33),
    )
    assert stays[-1] == ("rendering", 30.0)
    assert job.runs == 2 and job.crashes == 0


@each(
    ("between", "crashes"),
    [
        ([], 1),
        (["JobHandedBack"], 0),
        (["PromptWritten"], 0),
        (["SubmissionAccepted"], 0),
        (["SomethingNew"], 1),
    ],
)
def test_a_crash_is_a_run_without_a_word_or_progress(between: list[str], crashes: int) -> None:
    events = ["JobQueued", "JobStarted", *between, "JobStarted"]
    job, _ = play(*((kind, at_s) for at_s, kind in enumerate(events)))
    assert job.crashes == crashes


def test_what_comes_after_the_end_changes_nothing() -> None:
    job, stays = play(("JobQueued", 0), ("JobFailed", 9), ("SubmissionAccepted", 10), ("VideoGifted", 20))
    assert stays == [("queued", 9)] and job.state == "failed" and job.version == 4


def test_a_clock_that_goes_back_gives_no_negative_time() -> None:
    _, stays = play(("JobQueued", 10), ("JobStarted", 9))
    assert stays == [("queued", 0)]


def test_a_job_begun_before_our_time_is_the_same_read_from_the_log() -> None:
    events = [("JobQueued", 0), ("JobStarted", 1), ("PromptWritten", 3)]
    job, _ = play(*events)
    assert progress_after(JobEventRef(n, kind, at_s * S) for n, (kind, at_s) in enumerate(events, 1)) == job
