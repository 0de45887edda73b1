"""Jobs that went wrong: given out once more, made again, or left at that."""

import pytest
from msgspec.structs import replace

from events.account import CreditsCharged, CreditsExpired, Part
from events.job import (
    DeadLetterDropped,
    Failure,
    JobFailed,
    JobQueued,
    JobReissued,
    JobRequeued,
    JobSucceeded,
    Video,
    VideoGifted,
)
from ledger import commands as c
from ledger.accounts.decider import AMOUNT_MAX
from ledger.accounts.lots import Lot
from ledger.accounts.state import AccountState
from ledger.decider import decide
from ledger.errors import (
    AccountErasedError,
    AlreadyRequeuedError,
    DeadlinePassedError,
    InsufficientCreditsError,
    InvalidCommandError,
    JobFinishedError,
    JobNotFoundError,
    JobUnfinishedError,
    UnreadableAccountError,
    UnreadableJobError,
)
from ledger.jobs import state as job_state
from ledger.jobs.state import JobState
from tests.support.each import each

DEADLINE = 1_000
QUEUED = JobQueued("a", "o", 2, 3, 4, "m", "ugc", "p", "b", "ru", DEADLINE, parts=(Part(1, 4, "bonus"),))
VIDEO = Video("videos/j-1.mp4", "00", 9)
FAILED = [QUEUED, JobFailed("worker", Failure("poison"))]
PAYER = AccountState(opened=True, terms="1", balance=5, lots=(Lot(2, 5, "purchase"),))
REQUEUE = c.RequeueJob("j", "a", "j2", 4, "m2", 60, "mended", "login:op")
DROP = c.DropDeadLetter("j", "hopeless", "login:op")


def given(*events):
    state = JobState()
    for event in events:
        state = job_state.evolve(state, event)
    return state


def when(state, command, now_us=0, payer=PAYER):
    return decide({"job-j": state, "account-a": payer}, command, now_us)


def test_a_job_is_reissued_once_per_number():
    assert when(given(QUEUED), c.ReissueJob("j", 1)) == [("job-j", JobReissued(1))]
    reissued = given(QUEUED, JobReissued(1))
    assert when(reissued, c.ReissueJob("j", 1)) == []
    assert when(reissued, c.ReissueJob("j", 2)) == [("job-j", JobReissued(2))]
    with pytest.raises(InvalidCommandError):
        when(reissued, c.ReissueJob("j", 3))


def test_what_has_ended_or_will_not_be_made_in_time_is_not_reissued():
    with pytest.raises(JobFinishedError):
        when(given(*FAILED), c.ReissueJob("j", 1))
    with pytest.raises(DeadlinePassedError):
        when(given(QUEUED), c.ReissueJob("j", 1), now_us=DEADLINE)
    with pytest.raises(JobNotFoundError):
        when(given(), c.ReissueJob("j", 1))


def test_a_failed_job_is_made_again_and_charged():
    made = when(given(*FAILED), REQUEUE, now_us=7)
    parts = (Part(2, 4, "purchase"),)
    fresh = replace(
        QUEUED, order="j2", number=1, of=1, model="m2", deadline_at_us=60_000_007, parts=parts, requeue_of="j"
    )
    assert made == [
        ("job-j", JobRequeued("j2", 4, "mended", "login:op")),
        ("account-a", CreditsCharged("j2", "j2", 4, parts)),
        ("job-j2", fresh),
    ]


def test_a_free_one_leaves_the_account_alone():
    (_, _), (stream, fresh) = when(given(*FAILED), replace(REQUEUE, price=0), payer=AccountState())
    assert stream == "job-j2" and isinstance(fresh, JobQueued)
    assert (fresh.price, fresh.parts, fresh.requeue_of) == (0, (), "j")


def test_credits_that_are_over_do_not_pay():
    payer = replace(PAYER, balance=9, lots=(Lot(2, 5, "bonus", 10), Lot(3, 4, "purchase")))
    _, (_, expired), (_, charged), _ = when(given(*FAILED), REQUEUE, now_us=10, payer=payer)
    assert expired == CreditsExpired(2, 5, "bonus", 10)
    assert isinstance(charged, CreditsCharged) and charged.parts == (Part(3, 4, "purchase"),)


def test_only_what_failed_is_made_again_and_once():
    refusals = {
        JobUnfinishedError: given(QUEUED),
        JobFinishedError: given(QUEUED, JobSucceeded(1, 1, VIDEO)),
        AlreadyRequeuedError: given(*FAILED, JobRequeued("j2", 0, "r", "login:op")),
        JobNotFoundError: given(),
    }
    for error, state in refusals.items():
        for command in (REQUEUE, DROP):
            with pytest.raises(error):
                when(state, command)
    with pytest.raises(JobFinishedError):
        when(given(*FAILED, VideoGifted(1, VIDEO)), REQUEUE)


@each(
    ("change", "payer", "error"),
    [
        ({"price": 6}, PAYER, InsufficientCreditsError),
        ({"price": -1}, PAYER, InvalidCommandError),
        ({"account": "b"}, PAYER, JobNotFoundError),
        ({"as_job": "j"}, PAYER, InvalidCommandError),
        ({"deadline_s": 0}, PAYER, InvalidCommandError),
        ({"actor": ""}, PAYER, InvalidCommandError),
        ({"reason": ""}, PAYER, InvalidCommandError),
        ({"price": 0}, replace(PAYER, forgotten=True), AccountErasedError),
    ],
)
def test_what_is_asked_must_make_sense(change, payer, error):
    command = replace(REQUEUE, **change)
    view = {"job-j": given(*FAILED), f"account-{command.account}": payer}
    with pytest.raises(error):
        decide(view, command, 0)


def test_a_free_job_that_fails_gives_nothing_back():
    free = given(replace(QUEUED, price=0, parts=(), requeue_of="j0"))
    command = c.FailJob("j", "a", "operator", Failure("cancelled"), actor="login:op")
    assert when(free, command) == [("job-j", JobFailed("operator", Failure("cancelled"), "login:op"))]


def test_a_dead_letter_is_dropped_once():
    assert when(given(*FAILED), DROP) == [("job-j", DeadLetterDropped("hopeless", "login:op"))]
    assert when(given(*FAILED, DeadLetterDropped("hopeless", "login:op")), DROP) == []
    made = when(given(*FAILED, DeadLetterDropped("hopeless", "login:op")), REQUEUE)  # somebody thought again
    assert len(made) == 3


def test_nothing_is_made_again_of_what_cannot_be_read():
    with pytest.raises(UnreadableAccountError, match="account a cannot be read: torn"):
        when(given(*FAILED), REQUEUE, payer=replace(PAYER, broken="torn"))
    free = replace(REQUEUE, price=0)
    assert len(when(given(*FAILED), free, payer=replace(PAYER, broken="torn"))) == 2, "no credit is looked at"
    with pytest.raises(UnreadableJobError, match="order cannot be read"):
        when(replace(given(*FAILED), queued=None), REQUEUE)


def test_what_is_made_again_has_a_name_of_its_own_and_time():
    assert when(given(*FAILED), replace(REQUEUE, deadline_s=1), now_us=7)[-1][1].deadline_at_us == 1_000_007
    for change in ({"deadline_s": 0}, {"as_job": ""}, {"as_job": "j"}):
        with pytest.raises(InvalidCommandError, match="a name of its own and a deadline ahead"):
            when(given(*FAILED), replace(REQUEUE, **change))
    rich = replace(PAYER, balance=AMOUNT_MAX, lots=(Lot(2, AMOUNT_MAX, "purchase"),))
    assert when(given(*FAILED), replace(REQUEUE, price=AMOUNT_MAX), payer=rich)[1][1].amount == AMOUNT_MAX
    for price in (-1, AMOUNT_MAX + 1):
        with pytest.raises(InvalidCommandError, match="a price is 0 to"):
            when(given(*FAILED), replace(REQUEUE, price=price), payer=rich)


def test_a_dead_letter_is_dropped_by_somebody_for_a_reason():
    for change in ({"reason": ""}, {"actor": ""}):
        with pytest.raises(InvalidCommandError, match="say who does this and why"):
            when(given(*FAILED), replace(DROP, **change))


def test_a_job_whose_order_cannot_be_read_is_reissued_all_the_same():
    unreadable = JobState(account="a", price=4, broken="torn")
    assert when(unreadable, c.ReissueJob("j", 1), now_us=DEADLINE) == [("job-j", JobReissued(1))]
