"""How long a seller is told to wait, and when not to begin."""

import pytest

from services.generation.wait_estimate import (
    MEASURED_MIN,
    Capacity,
    Estimate,
    Render,
    Waiting,
    believed,
    estimate,
    guess,
)

RENDER = Render(usual_s=180, p95_s=240)
CAPACITY = Capacity(per_s=2.0, in_flight_max=20)


def wait_s(queue: dict[str, Waiting], jobs: int = 1, capacity: Capacity = CAPACITY) -> float:
    return estimate(queue, "me", jobs, capacity, RENDER).wait_s


def test_with_nobody_there_it_takes_as_long_as_rendering() -> None:
    assert estimate({}, "me", 1, CAPACITY, RENDER) == Estimate(0, 180, 240)
    assert wait_s({}, jobs=5) == 2, "five of mine go one after another"


def test_of_each_other_seller_as_many_go_before_as_of_mine() -> None:
    crowd = {f"s{number}": Waiting(1, 1) for number in range(100)}
    assert wait_s(crowd) == 50
    assert wait_s({"greedy": Waiting(1000, 1000)}) == 0.5, "one seller's thousand are no queue for another"
    assert wait_s({"greedy": Waiting(1000, 1000)}, jobs=5) == 4.5
    assert wait_s({"me": Waiting(10, 10), "other": Waiting(1000, 1000)}) == 10.5


def test_more_accounts_are_quicker() -> None:
    crowd = {f"s{number}": Waiting(1, 1) for number in range(100)}
    assert wait_s(crowd, capacity=Capacity(20.0, 20)) == 5


def test_jobs_that_nobody_has_started_tell_of_dead_workers() -> None:
    assert wait_s({"other": Waiting(1, 1, unstarted_s=700)}) == 700
    assert estimate({"other": Waiting(1, 1, 700)}, "me", 1, CAPACITY, RENDER).too_late_s(900) == 40


def test_what_exceeds_a_sellers_share_waits_for_their_own_videos() -> None:
    assert wait_s({"me": Waiting(0, 19)}) == 0
    assert wait_s({"me": Waiting(0, 20)}) == 180
    assert wait_s({"me": Waiting(30, 50)}, jobs=5) == pytest.approx(34 / 2 + 2 * 180)


def test_too_late_is_counted_by_the_slow_ones() -> None:
    assert Estimate(10, 190, 250).too_late_s(250) == 0
    assert Estimate(10, 190, 250).too_late_s(200) == 50


def test_a_guess_by_which_nothing_could_ever_be_in_time_is_not_believed() -> None:
    assert believed(guess(200), whole_s=900) == Render(200, 300, measured=False)
    assert believed(guess(200), whole_s=30) == Render(30, 0, measured=False)
    slow = Render(200, 300)
    assert believed(slow, whole_s=30) == slow, "what was measured is"
    assert MEASURED_MIN > 10
