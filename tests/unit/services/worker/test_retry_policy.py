"""When to try again, and when to look again."""

from typing import Any

import pytest

from events.job import Failure
from ledger.jobs.state import JobState, Submission
from services.worker.retry_policy import (
    AMBIGUOUS_MAX,
    RATE_LIMITED_MAX,
    SUBMISSIONS_MAX,
    crashes,
    poll_pause_s,
    retry_pause_s,
)
from tests.support.each import each

TRANSIENT = Failure("transient", "455")
LIMITED = Failure("rate_limited", "429")
BARE_500 = Failure("transient", "500")


def state(*failures: Failure, task: str | None = None) -> JobState:
    """So many failed submissions, and one that has just failed too but is not recorded yet."""
    done = [Submission(n, "k1", "m", None, failure) for n, failure in enumerate(failures, 1)]
    return JobState(submissions=(*done, Submission(len(done) + 1, "k1", "m", task)))


def pause(before: JobState, failure: Failure, chance: float = 1.0, **more: Any) -> float | None:
    return retry_pause_s(before, failure, base_s=2, chance=chance, **more)


@each(
    "error_class",
    ["user_violation", "bad_image", "our_fault", "provider_auth", "provider_balance", "model_paused",
     "result_broken", "timeout", "poison", "unclassified"],
)  # fmt: skip
def test_only_passing_trouble_is_tried_again(error_class: str) -> None:
    assert pause(state(), Failure(error_class)) is None


def test_the_bound_doubles_and_chance_picks_below_it() -> None:
    assert [pause(state(*[TRANSIENT] * n), TRANSIENT) for n in range(3)] == [2, 4, 8]
    assert pause(state(TRANSIENT), TRANSIENT, chance=0.25) == 1
    assert pause(state(), TRANSIENT, chance=0) == 0


def test_submissions_are_limited() -> None:
    assert pause(state(*[TRANSIENT] * (SUBMISSIONS_MAX - 2)), TRANSIENT) is not None
    assert pause(state(*[TRANSIENT] * (SUBMISSIONS_MAX - 1)), TRANSIENT) is None


def test_being_limited_is_counted_apart_and_bounded_too() -> None:
    assert pause(state(*[LIMITED] * 5), TRANSIENT) == 2
    assert pause(state(*[LIMITED] * (RATE_LIMITED_MAX - 2)), LIMITED) == 60
    assert pause(state(*[LIMITED] * (RATE_LIMITED_MAX - 1)), LIMITED) is None


def test_a_bare_500_without_a_task_gets_fewer_tries() -> None:
    assert pause(state(*[BARE_500] * (AMBIGUOUS_MAX - 1)), BARE_500) is None
    assert pause(state(*[BARE_500] * (AMBIGUOUS_MAX - 1), task="t1"), BARE_500) is not None


def test_the_providers_wish_comes_on_top() -> None:
    assert pause(state(), LIMITED, chance=0.5, retry_after_s=7) == 8


def test_looks_grow_to_three_times_the_first() -> None:
    pauses = [poll_pause_s(n, 5, 0.5, left_s=900) for n in range(5)]
    assert pauses == [5, 7.5, 11.25, 15, 15]


def test_looks_are_spread() -> None:
    assert poll_pause_s(0, 5, 0, 900) == 4.5 and poll_pause_s(0, 5, 1, 900) == pytest.approx(5.5)


@each(("left_s", "expected"), [(10, 8), (3, 1.5), (1, 0.5), (0, 0), (-5, 0)])
def test_the_last_look_is_before_the_deadline(left_s: float, expected: float) -> None:
    assert poll_pause_s(9, 5, 0.5, left_s) == expected


def test_an_open_run_without_progress_counts_as_a_crash_in_the_making() -> None:
    assert crashes(JobState(crashes=2)) == 2
    assert crashes(JobState(crashes=2, run_open=True)) == 3
    assert crashes(JobState(crashes=2, run_open=True, progressed=True)) == 2


@each("error_class", ["provider_auth", "provider_balance"])
def test_an_accounts_own_trouble_is_tried_once_with_each_of_the_others(error_class: str) -> None:
    trouble = Failure(error_class)
    assert pause(state(), trouble, accounts=1) is None
    assert pause(state(), trouble, accounts=2) == 0.0
    assert pause(state(trouble), trouble, accounts=2) is None
    assert pause(state(Failure("transient"), trouble), trouble, accounts=3) == 0.0
