"""The job's rules: given what happened, when a command comes, then these events or this refusal."""

import pytest
from msgspec.structs import replace

from events.account import CreditsRefunded, Part
from events.job import (
    Failure,
    JobFailed,
    JobHandedBack,
    JobQueued,
    JobStarted,
    JobSucceeded,
    PromptWritten,
    RetryScheduled,
    SubmissionAccepted,
    SubmissionFailed,
    SubmissionIntended,
    Video,
    VideoGifted,
    VideoRated,
)
from ledger import commands as c
from ledger.accounts.state import AccountState
from ledger.decider import decide, fold
from ledger.errors import (
    AccountErasedError,
    AlreadyExistsError,
    DeadlinePassedError,
    InvalidCommandError,
    JobFinishedError,
    JobNotFoundError,
    JobUnfinishedError,
    LedgerError,
    NotDueError,
    StaleRunError,
    SubmissionOpenError,
    TaskMismatchError,
    UnreadableJobError,
)
from ledger.jobs import state as job_state
from ledger.jobs.state import JobState
from tests.support.each import each

DEADLINE = 1_000
PARTS = (Part(1, 3, "purchase"),)
QUEUED = JobQueued("a", "o", 1, 1, 3, "m", "ugc", "p", "b", "ru", DEADLINE, parts=PARTS)
VIDEO = Video("videos/j-1.mp4", "00", 9)
FAILURE = Failure("transient", "500", ref="w1")
PLACED = replace(FAILURE, attempt=1, task="task")
STARTED = [QUEUED, JobStarted(1, "w")]
PROMPTED = [*STARTED, PromptWritten(1, "t", "openai", "ugc-1")]
INTENDED = [*PROMPTED, SubmissionIntended(1, 1, "k1", "m")]
ACCEPTED = [*INTENDED, SubmissionAccepted(1, "task")]
FAILED = [*ACCEPTED, JobFailed("monitor", FAILURE)]
INTEND = c.IntendSubmission("j", 1, 1, "k1", "m")


def given(*events):
    state = JobState()
    for event in events:
        state = job_state.evolve(state, event)
    return state


def when(state, command, now_us=0):
    view = {"job-j": state, "account-a": AccountState(), "account-b": AccountState()}
    return [event for _, event in decide(view, command, now_us)]


def refund(made):
    return [(type(event).__name__, getattr(event, "amount", None)) for event in made]


def test_a_run_is_handed_back_by_its_own_worker_only():
    assert when(given(*STARTED), c.HandBackJob("j", 1, "w")) == [JobHandedBack(1)]
    assert when(given(*STARTED), c.HandBackJob("j", 1, "another")) == []


def test_runs_count_up_and_fence():
    assert when(given(QUEUED), c.StartJob("j", 1, "w")) == [JobStarted(1, "w")]
    assert when(given(*STARTED), c.StartJob("j", 2, "w2")) == [JobStarted(2, "w2")]
    for run in (1, 3):
        with pytest.raises(StaleRunError):
            when(given(*STARTED), c.StartJob("j", run, "w"))


def test_a_stale_run_may_not_decide():
    state = given(*PROMPTED, JobStarted(2, "w2"))
    for command in (
        INTEND,
        c.FailSubmission("j", "a", 1, 1, FAILURE),
        c.RecordPrompt("j", 1, "t", "openai", "v"),
        c.FailJob("j", "a", "worker", FAILURE, run=1),
    ):
        with pytest.raises(StaleRunError):
            when(state, command)


def test_a_run_that_was_handed_back_may_not_decide_either():
    with pytest.raises(StaleRunError):
        when(given(*PROMPTED, JobHandedBack(1)), INTEND)


def test_facts_are_recorded_whoever_brings_them():
    state = given(*INTENDED, JobStarted(2, "w2"))
    assert when(state, c.RecordAccepted("j", 1, "task")) == [SubmissionAccepted(1, "task")]
    done = given(*ACCEPTED, JobStarted(2, "w2"))
    assert when(done, c.SucceedJob("j", 1, 1, VIDEO)) == [JobSucceeded(1, 1, VIDEO)]


def test_a_refusal_heard_by_a_run_that_lost_the_job_is_a_fact_and_the_holder_decides():
    lost = given(*INTENDED, JobStarted(2, "w2"))
    (failed,) = when(lost, c.FailSubmission("j", "a", 1, 1, FAILURE))
    state = job_state.evolve(lost, failed)
    with pytest.raises(SubmissionOpenError):  # not even the holder may go on without a decision
        when(state, c.IntendSubmission("j", 2, 2, "k1", "m"), now_us=500)
    for stale in (state, given(*ACCEPTED, JobStarted(2, "w2"))):  # a known task is the holder's to judge
        with pytest.raises(StaleRunError):
            when(stale, c.FailSubmission("j", "a", 1, 1, FAILURE))
    again = c.FailSubmission("j", "a", 2, 1, failed.failure, retry_at_us=500)
    assert when(state, again) == [RetryScheduled(2, 500)]
    ends = when(state, replace(again, retry_at_us=None))
    assert refund(ends) == [("JobFailed", None), ("CreditsRefunded", 3)]


def test_a_task_is_recorded_once_and_even_after_a_refund():
    late = given(*INTENDED, JobFailed("monitor", FAILURE))
    assert when(late, c.RecordAccepted("j", 1, "task")) == [SubmissionAccepted(1, "task")]
    assert when(given(*ACCEPTED), c.RecordAccepted("j", 1, "task")) == []
    for number, task in ((1, "another"), (2, "task")):
        with pytest.raises(TaskMismatchError):
            when(given(*ACCEPTED), c.RecordAccepted("j", number, task))


def test_nothing_is_submitted_while_a_submission_is_open():
    assert when(given(*PROMPTED), INTEND) == [SubmissionIntended(1, 1, "k1", "m")]
    for history in (INTENDED, ACCEPTED):
        with pytest.raises(SubmissionOpenError):
            when(given(*history), c.IntendSubmission("j", 1, 2, "k1", "m"))


def test_a_retry_waits_for_its_time_and_takes_the_next_number():
    made = when(given(*ACCEPTED), c.FailSubmission("j", "a", 1, 1, FAILURE, retry_at_us=500))
    assert made == [SubmissionFailed(1, 1, PLACED), RetryScheduled(1, 500)]
    state = given(*ACCEPTED, *made)
    with pytest.raises(NotDueError):
        when(state, c.IntendSubmission("j", 1, 2, "k1", "m"), now_us=499)
    with pytest.raises(InvalidCommandError):
        when(state, INTEND, now_us=500)
    assert when(state, c.IntendSubmission("j", 1, 2, "k1", "m"), now_us=500) == [
        SubmissionIntended(1, 2, "k1", "m")
    ]


@each("retry_at_us", [None, DEADLINE, DEADLINE + 1])
def test_without_a_retry_inside_the_deadline_the_job_fails_and_is_refunded(retry_at_us):
    made = when(given(*ACCEPTED), c.FailSubmission("j", "a", 1, 1, FAILURE, retry_at_us))
    assert made == [
        SubmissionFailed(1, 1, PLACED),
        JobFailed("worker", PLACED),
        CreditsRefunded("j", 3, "transient", PARTS),
    ]


def test_nothing_starts_or_is_submitted_after_the_deadline():
    with pytest.raises(DeadlinePassedError):
        when(given(QUEUED), c.StartJob("j", 1, "w"), now_us=DEADLINE)
    with pytest.raises(DeadlinePassedError):
        when(given(*PROMPTED), INTEND, now_us=DEADLINE)


def test_the_monitor_waits_for_the_deadline_and_then_needs_no_run():
    command = c.FailJob("j", "a", "monitor", FAILURE)
    with pytest.raises(NotDueError):
        when(given(*ACCEPTED), command, now_us=DEADLINE - 1)
    made = when(given(*ACCEPTED), command, now_us=DEADLINE)
    assert made == [JobFailed("monitor", PLACED), CreditsRefunded("j", 3, "transient", PARTS)]


@each(
    ("history", "said", "attempt", "task"),
    [
        (STARTED, 0, 0, ""),  # before the first submission
        (INTENDED, 0, 1, ""),  # nobody knows whether there is a task
        (ACCEPTED, 0, 1, "task"),
        (ACCEPTED, 2, 2, ""),  # while the second one was prepared
    ],
)
def test_a_failure_says_in_which_submission_and_with_which_task(history, said, attempt, task):
    failure = replace(FAILURE, attempt=said)
    failed, _ = when(given(*history), c.FailJob("j", "a", "worker", failure, run=1))
    assert (failed.failure.attempt, failed.failure.task) == (attempt, task)


def test_there_is_one_end():
    for history in (FAILED, [*ACCEPTED, JobSucceeded(1, 1, VIDEO)]):
        state = given(*history)
        for command in (
            c.FailJob("j", "a", "monitor", FAILURE),
            c.FailJob("j", "a", "operator", FAILURE),
            c.StartJob("j", 2, "w"),
            c.FailSubmission("j", "a", 1, 1, FAILURE),
        ):
            with pytest.raises(JobFinishedError):
                when(state, command, now_us=DEADLINE)


def test_a_success_after_the_refund_is_a_gift_given_once():
    made = when(given(*FAILED), c.SucceedJob("j", 1, 1, VIDEO))
    assert made == [VideoGifted(1, VIDEO)]
    assert when(given(*FAILED, *made), c.SucceedJob("j", 1, 1, VIDEO)) == []
    assert when(given(*ACCEPTED, JobSucceeded(1, 1, VIDEO)), c.SucceedJob("j", 2, 1, VIDEO)) == []


def test_a_crash_is_a_run_that_ended_without_progress_and_without_a_word():
    assert given(*STARTED, JobStarted(2, "w")).crashes == 1
    assert given(*PROMPTED, JobStarted(2, "w")).crashes == 0
    assert given(*STARTED, JobHandedBack(1), JobStarted(2, "w")).crashes == 0
    rolling = [event for run in range(1, 11) for event in (JobStarted(run, "w"), JobHandedBack(run))]
    assert given(QUEUED, *rolling).crashes == 0


def test_handing_back_what_is_not_held_changes_nothing():
    assert when(given(*STARTED), c.HandBackJob("j", 1)) == [JobHandedBack(1)]
    for history in (FAILED, [*STARTED, JobStarted(2, "w")], [*STARTED, JobHandedBack(1)]):
        assert when(given(*history), c.HandBackJob("j", 1)) == []


def test_a_job_of_nobody_or_of_somebody_else_cannot_be_failed():
    for state, account in ((JobState(), "a"), (given(QUEUED), "b")):
        with pytest.raises(JobNotFoundError):
            when(state, c.FailJob("j", account, "operator", FAILURE))


def test_a_job_that_cannot_be_read_can_still_be_refunded_but_not_worked_on():
    state = fold(given(*STARTED), "InventedLater", "{}")
    assert isinstance(state, JobState)
    with pytest.raises(UnreadableJobError):
        when(state, INTEND)
    made = when(state, c.FailJob("j", "a", "monitor", FAILURE), now_us=DEADLINE)
    assert refund(made) == [("JobFailed", None), ("CreditsRefunded", 3)]


def test_a_queued_event_of_another_shape_still_tells_who_paid_what():
    state = fold(JobState(), "JobQueued", '{"account":"a","price":3,"deadline_at_us":"soon"}')
    assert isinstance(state, JobState)
    assert (state.account, state.price) == ("a", 3)
    made = when(state, c.FailJob("j", "a", "monitor", FAILURE))
    assert refund(made) == [("JobFailed", None), ("CreditsRefunded", 3)]


def test_an_unreadable_end_is_still_an_end():
    state = fold(given(*ACCEPTED), "JobSucceeded", '{"run":"first"}')
    with pytest.raises(JobFinishedError):
        when(state, c.FailJob("j", "a", "monitor", FAILURE), now_us=DEADLINE)


def test_a_task_id_has_a_length():
    for task in ("", "t" * 129):
        with pytest.raises(InvalidCommandError, match="1 to 128 characters"):
            when(given(*INTENDED), c.RecordAccepted("j", 1, task))
    assert when(given(*INTENDED), c.RecordAccepted("j", 1, "t" * 128)) == [SubmissionAccepted(1, "t" * 128)]


def test_a_prompt_is_written_once_and_nothing_is_submitted_without_one():
    write = c.RecordPrompt("j", 1, "t", "openai", "ugc-1")
    assert when(given(*STARTED), write) == [PromptWritten(1, "t", "openai", "ugc-1")]
    assert when(given(*PROMPTED), write) == []
    with pytest.raises(InvalidCommandError, match="no prompt"):
        when(given(*STARTED), INTEND)


def test_a_video_needs_a_submission_and_a_refusal_the_open_one():
    with pytest.raises(TaskMismatchError):
        when(given(*PROMPTED), c.SucceedJob("j", 1, 1, VIDEO))
    with pytest.raises(InvalidCommandError, match="not the open one"):
        when(given(*PROMPTED), c.FailSubmission("j", "a", 1, 1, FAILURE))
    with pytest.raises(InvalidCommandError, match="not the open one"):
        when(given(*INTENDED), c.FailSubmission("j", "a", 1, 2, FAILURE))


def test_only_who_paid_is_told_of_a_refusal():
    with pytest.raises(LedgerError):
        when(given(*INTENDED), c.FailSubmission("j", "b", 1, 1, FAILURE))


def test_a_task_of_one_character_and_of_128_is_one():
    for task in ("t", "t" * 128):
        assert when(given(*INTENDED), c.RecordAccepted("j", 1, task)) == [SubmissionAccepted(1, task)]


def test_a_prompt_is_written_once_and_before_anything_is_submitted():
    write = c.RecordPrompt("j", 1, "t", "openai", "ugc-1")
    assert when(given(*STARTED), write) == [PromptWritten(1, "t", "openai", "ugc-1")]
    assert when(given(*PROMPTED), write) == []
    with pytest.raises(InvalidCommandError, match="no prompt to submit yet"):
        when(given(*STARTED), INTEND)


def test_nothing_is_decided_on_a_job_that_was_never_queued():
    for command in (c.StartJob("j", 1, "w"), c.RecordPrompt("j", 1, "t", "openai", "v"), INTEND):
        with pytest.raises(JobNotFoundError):
            when(JobState(), command)
    with pytest.raises(JobNotFoundError):
        decide({"job-j": JobState(), "account-": AccountState()}, c.FailJob("j", "", "operator", FAILURE), 0)


def test_a_submission_is_failed_for_the_account_that_paid_and_by_its_own_number():
    with pytest.raises(JobNotFoundError, match="of account b"):
        when(given(*INTENDED), c.FailSubmission("j", "b", 1, 1, FAILURE))
    for state in (given(*INTENDED), given(*PROMPTED)):
        with pytest.raises(InvalidCommandError, match="submission 2 is not the open one"):
            when(state, c.FailSubmission("j", "a", 1, 2, FAILURE))
    lost = given(*INTENDED, JobStarted(2, "w2"))
    with pytest.raises(StaleRunError):
        when(lost, c.FailSubmission("j", "a", 1, 2, FAILURE))
    with pytest.raises(TaskMismatchError, match="no submission 2 was announced"):
        when(given(*ACCEPTED), c.SucceedJob("j", 1, 2, VIDEO))


def test_a_run_that_was_handed_back_records_the_refusal_alone():
    handed_back = given(*INTENDED, JobHandedBack(1))
    made = when(handed_back, c.FailSubmission("j", "a", 1, 1, FAILURE))
    assert made == [SubmissionFailed(1, 1, replace(FAILURE, attempt=1))]


def test_past_the_deadline_a_lost_run_may_fail_the_job_too():
    late = c.FailJob("j", "a", "worker", FAILURE, run=7)
    with pytest.raises(StaleRunError):
        when(given(*STARTED), late, DEADLINE - 1)
    assert refund(when(given(*STARTED), late, DEADLINE)) == [("JobFailed", None), ("CreditsRefunded", 3)]


def test_the_shortest_task_id_is_a_character():
    assert when(given(*INTENDED), c.RecordAccepted("j", 1, "t")) == [SubmissionAccepted(1, "t")]


@each("events", [[*ACCEPTED, JobSucceeded(1, 1, VIDEO)], [*FAILED, VideoGifted(1, VIDEO)]])
def test_a_video_is_rated_once_by_whom_it_was_made_for(events):
    made = given(*events)
    rate = c.RateVideo("j", "a", 4)
    assert when(made, rate) == [VideoRated(4)]
    rated = given(*events, VideoRated(4))
    assert when(rated, rate) == []
    with pytest.raises(AlreadyExistsError, match="rated with 4 stars"):
        when(rated, replace(rate, stars=5))
    for stars in (0, 6):
        with pytest.raises(InvalidCommandError, match="1 to 5 stars"):
            when(made, replace(rate, stars=stars))
    with pytest.raises(JobNotFoundError):
        when(made, replace(rate, account="b"))
    with pytest.raises(AccountErasedError):
        decide({"job-j": made, "account-a": AccountState(opened=True, forgotten=True)}, rate, 0)
    assert {when(made, replace(rate, stars=stars))[0].stars for stars in range(1, 6)} == {1, 2, 3, 4, 5}


@each("events", [ACCEPTED, FAILED])
def test_without_a_video_there_is_nothing_to_rate(events):
    with pytest.raises(JobUnfinishedError):
        when(given(*events), c.RateVideo("j", "a", 5))


def test_a_sentence_gets_into_no_event():
    prompted = c.RecordPrompt("j", 1, "t", "fallback", "ugc-1", "quota of Anna Petrova")
    for said in (Failure("transient", "a sentence"), Failure("a class"), Failure("transient", ref="Anna P.")):
        for before, command in (
            (INTENDED, c.FailSubmission("j", "a", 1, 1, said, 500)),
            (INTENDED, c.FailJob("j", "a", "operator", said)),
            (STARTED, prompted),
        ):
            with pytest.raises(InvalidCommandError, match="a code, not a sentence"):
                when(given(*before), command)


def test_an_operator_says_why_for_ever():
    failure = Failure("cancelled", "operator")
    command = c.FailJob("j", "a", "operator", failure, actor="login:op", reason="asked")
    ended = JobFailed("operator", failure, "login:op", "asked")
    assert when(given(*STARTED), command)[0] == ended
