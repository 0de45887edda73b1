"""When a circuit opens, lets a probe through and closes."""

import itertools
import random
from typing import Any

from msgspec.structs import replace

from services.generation.circuit_breaker.rules import (
    Circuit,
    Kind,
    Report,
    Rhythm,
    after,
    answered,
    paused_by,
    resumed_by,
)
from tests.support.each import each

S = 1_000_000
RHYTHM = Rhythm(failures_max=3, rest_s=60, rest_s_max=300)
WELL = Circuit("m")


SELLERS = itertools.count()


def said(kind: Kind, at_s: int, job: str = "j", reason: str = "", account: str = "") -> Report:
    """A report of a submission that was announced at `at_s`, of a seller of its own unless named."""
    return Report(kind, job, at_s * S, reason, account or f"a{next(SELLERS)}")


def troubles(count: int, at_s: int = 1) -> list[Report]:
    return [said("trouble", at_s) for _ in range(count)]


def told(circuit: Circuit, *reports: Report, now_s: int) -> Circuit:
    for report in reports:
        circuit = after(circuit, report, RHYTHM, now_s * S)
    return circuit


def shape(circuit: Circuit) -> tuple[Any, ...]:
    until_s = None if circuit.until_us is None else circuit.until_us // S
    return circuit.state, circuit.set_by, circuit.since_us // S, until_s


def test_paused_once_is_paused() -> None:
    circuit = told(WELL, said("paused", 1, reason="This interface is temporarily paused."), now_s=2)
    assert shape(circuit) == ("paused", "provider", 2, 62)
    assert circuit.reason == "This interface is temporarily paused."


def test_troubles_of_many_sellers_are_failing_and_a_video_in_between_ends_the_row() -> None:
    assert told(WELL, *troubles(2), now_s=2).available
    assert shape(told(WELL, *troubles(3), now_s=2)) == ("failing", "provider", 2, 62)
    assert told(WELL, *troubles(2), said("made", 1), *troubles(2), now_s=2).available
    assert not told(WELL, *troubles(2), said("accepted", 1), *troubles(1), now_s=2).available


def test_one_seller_alone_rests_no_model_for_all() -> None:
    own = [said("trouble", at_s, f"j{at_s}", account="odd") for at_s in range(1, 50)]
    circuit = told(WELL, *own, now_s=60)
    assert circuit.available and circuit.failed == ("odd",)
    assert told(circuit, said("trouble", 61), now_s=62).available
    assert not told(circuit, *troubles(2, 61), now_s=62).available


def test_after_a_rest_the_providers_word_counts_and_only_then() -> None:
    for resting in (told(WELL, *troubles(3), now_s=2), told(WELL, said("paused", 1), now_s=2)):
        assert answered(resting, True, RHYTHM, 61 * S) == resting, "it rests still"
        well = answered(resting, True, RHYTHM, 62 * S)
        assert well.available and well.openings == 1, "without a video the next rest is longer"
        ill = answered(resting, False, RHYTHM, 62 * S)
        assert shape(ill) == (resting.state, "provider", 62, 62 + 120) and ill.probe_job == ""
        assert answered(ill, True, RHYTHM, 62 * S) == ill, "of two that asked"
    held = paused_by(WELL, "ann", "", 5 * S)
    assert answered(held, True, RHYTHM, 10**15) == held
    assert answered(WELL, False, RHYTHM, 10**15) == WELL


def test_where_the_provider_says_nothing_a_model_is_tried_after_the_longest_rest_alone() -> None:
    circuit, rests = told(WELL, said("paused", 1), now_s=0), []
    while not circuit.available:
        assert circuit.until_us is not None
        rests.append((circuit.until_us - circuit.since_us) // S)
        circuit = answered(circuit, None, RHYTHM, circuit.until_us)
    assert rests == [60, 120, 240, 300]
    assert shape(told(circuit, said("paused", 10**6), now_s=10**6))[3] == 10**6 + 300


def test_who_sees_it_second_changes_nothing() -> None:
    paused = told(WELL, said("paused", 1, "j1"), now_s=2)
    assert told(paused, said("paused", 1, "j2"), now_s=30) == paused
    assert told(paused, said("trouble", 1, "j3"), now_s=30) == paused
    # submitted after it was paused, by a process that did not know yet
    assert told(paused, said("paused", 3, "j4"), now_s=30) == paused


def test_failing_becomes_paused_when_the_provider_says_so() -> None:
    failing = told(WELL, *troubles(3), now_s=2)
    assert told(failing, said("paused", 1, "j2"), now_s=5).state == "paused"


def test_a_rest_is_over_at_its_time_and_one_job_may_ask() -> None:
    paused = told(WELL, said("paused", 1), now_s=2)
    assert not paused.half_open(61 * S) and paused.half_open(62 * S)
    assert paused.probe_due("j", 62 * S) and not paused.probe_due("j", 61 * S)
    taken = replace(paused, probe_job="j", probe_until_us=90 * S)
    assert taken.probe_due("j", 80 * S), "the job's next run has it still"
    assert not taken.probe_due("other", 80 * S) and taken.probe_due("other", 90 * S)
    assert not WELL.half_open(62 * S)


def test_each_rest_after_a_probe_that_failed_is_twice_as_long_up_to_a_limit() -> None:
    circuit = told(WELL, said("paused", 1), now_s=0)
    rests = []
    for _ in range(5):
        assert circuit.until_us is not None
        rests.append((circuit.until_us - circuit.since_us) // S)
        probed = replace(circuit, probe_job="p", probe_until_us=circuit.until_us + 60 * S)
        circuit = told(probed, said("trouble", 1, "p"), now_s=circuit.until_us // S)
    assert rests == [60, 120, 240, 300, 300]
    assert (circuit.state, circuit.probe_job) == ("paused", "")


def test_a_submission_accepted_ends_a_pause_but_not_a_failing() -> None:
    paused = told(WELL, said("paused", 1), now_s=2)
    assert shape(told(paused, said("accepted", 70), now_s=71)) == ("available", "provider", 71, None)
    assert told(paused, said("accepted", 1), now_s=71) == paused, "announced before the pause"
    failing = told(WELL, *troubles(3), now_s=2)
    assert told(failing, said("accepted", 70), now_s=71) == failing
    assert told(failing, said("made", 1), now_s=71) == failing, "announced before the trouble"
    assert told(failing, said("made", 70), now_s=200).available


def test_accepted_and_paused_again_goes_on_doubling_until_there_is_a_video() -> None:
    paused = told(WELL, said("paused", 1), now_s=2)
    again = told(paused, said("accepted", 70), said("paused", 70), now_s=71)
    assert shape(again) == ("paused", "provider", 71, 71 + 120)
    made = told(paused, said("made", 70), said("paused", 80), now_s=100)
    assert shape(made) == ("paused", "provider", 100, 160)


def test_an_operators_pause_has_no_end_and_nobody_else_ends_it() -> None:
    held = paused_by(told(WELL, said("paused", 1), now_s=2), "ann", "too many complaints", 5 * S)
    assert shape(held) == ("paused", "operator", 5, None)
    assert not held.half_open(10**18) and not held.may_return(10**18)
    for kind in ("trouble", "paused", "accepted", "made"):
        assert told(held, said(kind, 70), now_s=80) == held
    assert paused_by(held, "bob", "me too", 9 * S) == held
    assert shape(resumed_by(held, "bob", "well again", 9 * S)) == ("available", "operator", 9, None)


@each("state", ["paused", "failing"])
def test_what_was_announced_before_a_resume_is_no_news(state: str) -> None:
    reports = [said("paused", 1)] if state == "paused" else troubles(3)
    resumed = resumed_by(told(WELL, *reports, now_s=2), "ann", "asked the provider", 5 * S)
    assert resumed.available and resumed.failures == 0
    assert told(resumed, *troubles(9, 4), said("paused", 4), now_s=6) == resumed
    assert told(resumed, said("paused", 6), now_s=7).state == "paused"
    assert resumed_by(resumed, "bob", "once more", 8 * S) == resumed


@each("seed", range(20))
def test_whatever_is_told_a_circuit_makes_sense(seed: int) -> None:
    dice, circuit = random.Random(seed), WELL
    for now_s in range(1, 400):
        kind = dice.choice(["trouble", "trouble", "paused", "accepted", "made"])
        before, act = circuit, dice.random()
        if act < 0.03:
            circuit = paused_by(circuit, "ann", "", now_s * S)
        elif act < 0.06:
            circuit = resumed_by(circuit, "ann", "", now_s * S)
        elif act < 0.3 and circuit.probe_due("p", now_s * S):
            circuit = replace(circuit, probe_job="p", probe_until_us=(now_s + 60) * S)
        else:
            job = dice.choice(["p", "q"])
            circuit = told(circuit, said(kind, max(0, now_s - dice.randint(0, 20)), job), now_s=now_s)  # type: ignore[arg-type]
            held = before.set_by == "operator" and not before.available
            assert not held or circuit == before
        assert circuit.available == (circuit.since_us == 0 or circuit.state == "available")
        assert circuit.available or circuit.set_by == "operator" or circuit.until_us is not None
        assert not circuit.available or circuit.failures < RHYTHM.failures_max
        assert circuit.state != "failing" or circuit.set_by == "provider"
        # every change of the state has a time of its own, by which it is noted
        assert (circuit.state == before.state) or circuit.since_us == now_s * S
