"""The breaker: when it opens, who probes, what closes it, and that it alarms once."""

import asyncio
from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from services.adapters.openai.breaker import IN_A_ROW_MAX, LASTING_PAUSE_S, UNREACHED_PAUSE_S, Breaker
from services.adapters.openai.client import Caller
from services.adapters.openai.errors import OpenAINoAnswerError, Reason


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock)


@pytest.fixture
def logs() -> Iterator[list[dict[str, object]]]:
    with capture_logs() as captured:
        yield captured  # type: ignore[misc]


def opened(breaker: Breaker, reason: Reason = "quota") -> None:
    breaker.report(breaker.admit(), reason)


def spared(breaker: Breaker) -> str | None:
    """Why the next call is spared; None when it is made (and its pass is left open)."""
    try:
        breaker.admit()
    except OpenAINoAnswerError as error:
        return error.reason
    return None


def alarms(logs: list[dict[str, object]]) -> int:
    return sum(entry["event"] == "openai_unusable" for entry in logs)


@pytest.mark.parametrize("reason", ["quota", "auth", "region", "model"])
def test_what_lasts_opens_it_at_once(breaker: Breaker, reason: Reason) -> None:
    opened(breaker, reason)
    assert spared(breaker) == reason


@pytest.mark.parametrize("reason", ["rate_limited", "refused", "bad_request", "bad_answer", None])
def test_other_answers_do_not_open_it_however_many(breaker: Breaker, reason: Reason | None) -> None:
    for _ in range(3 * IN_A_ROW_MAX):
        breaker.report(breaker.admit(), reason)
    assert spared(breaker) is None


def test_out_of_reach_many_times_in_a_row_opens_it_for_a_short_while(breaker: Breaker, clock: Clock) -> None:
    for _ in range(IN_A_ROW_MAX - 1):
        breaker.report(breaker.admit(), "timeout")
    breaker.report(breaker.admit(), None)
    for _ in range(IN_A_ROW_MAX - 1):
        breaker.report(breaker.admit(), "unavailable")
    assert breaker.reason is None
    breaker.report(breaker.admit(), "timeout")
    assert spared(breaker) == "timeout"
    clock.now_s += UNREACHED_PAUSE_S
    assert spared(breaker) is None


def test_after_the_pause_one_call_probes_and_the_others_are_spared(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.now_s += LASTING_PAUSE_S - 1
    assert spared(breaker) == "quota"
    clock.now_s += 1
    probe = breaker.admit()
    assert probe.probe
    assert [spared(breaker) for _ in range(5)] == ["quota"] * 5
    breaker.report(probe, None)
    assert [spared(breaker) for _ in range(5)] == [None] * 5


def test_a_probe_that_fails_lastingly_is_another_pause(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.now_s += LASTING_PAUSE_S
    breaker.report(breaker.admit(), "auth")
    assert spared(breaker) == "auth"
    clock.now_s += LASTING_PAUSE_S
    assert spared(breaker) is None


@pytest.mark.parametrize("reason", ["timeout", "unavailable"])
def test_a_probe_out_of_reach_leaves_it_to_the_next(breaker: Breaker, clock: Clock, reason: Reason) -> None:
    opened(breaker)
    clock.now_s += LASTING_PAUSE_S
    breaker.report(breaker.admit(), reason)
    assert breaker.reason == "quota"
    assert breaker.admit().probe and spared(breaker) == "quota"


@pytest.mark.parametrize("reason", ["rate_limited", "refused", "bad_request", "bad_answer"])
def test_any_answer_to_a_probe_shows_that_key_and_money_are_there(
    breaker: Breaker, clock: Clock, reason: Reason
) -> None:
    opened(breaker)
    clock.now_s += LASTING_PAUSE_S
    breaker.report(breaker.admit(), reason)
    assert breaker.reason is None


def test_calls_under_way_when_it_opens_change_nothing(
    breaker: Breaker, clock: Clock, logs: list[dict[str, object]]
) -> None:
    passes = [breaker.admit() for _ in range(5)]
    breaker.report(passes[0], "quota")
    for late in passes[1:3]:
        breaker.report(late, "quota")
    breaker.report(passes[3], None)
    assert spared(breaker) == "quota" and alarms(logs) == 1
    clock.now_s += LASTING_PAUSE_S
    breaker.report(breaker.admit(), None)
    breaker.report(passes[4], "quota")  # of a time before: the probe knows better
    assert spared(breaker) is None and alarms(logs) == 1


def test_it_alarms_once_per_opening(breaker: Breaker, clock: Clock, logs: list[dict[str, object]]) -> None:
    for _ in range(3):
        opened(breaker)
        for _ in range(10):
            spared(breaker)
        for _ in range(4):  # probes in vain
            clock.now_s += LASTING_PAUSE_S
            breaker.report(breaker.admit(), "quota")
        clock.now_s += LASTING_PAUSE_S
        breaker.report(breaker.admit(), None)
    assert alarms(logs) == 3
    assert [entry["log_level"] for entry in logs if entry["event"] == "openai_unusable"] == ["error"] * 3


def gauge(reason: Reason) -> float | None:
    return REGISTRY.get_sample_value("neurocards_openai_breaker_open", {"reason": reason})


def test_the_gauge_tells_why_and_until_when(breaker: Breaker, clock: Clock) -> None:
    opened(breaker, "region")
    assert gauge("region") == 1
    clock.now_s += LASTING_PAUSE_S
    assert gauge("region") == 1, "until one is answered"
    breaker.report(breaker.admit(), "auth")
    assert (gauge("region"), gauge("auth")) == (0, 1)
    clock.now_s += LASTING_PAUSE_S
    breaker.report(breaker.admit(), None)
    assert (gauge("region"), gauge("auth")) == (0, 0)


async def test_a_cancelled_probe_is_given_back(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.now_s += LASTING_PAUSE_S
    caller = Caller("chat", 60, breaker)
    asked = asyncio.Event()

    async def never() -> None:
        asked.set()
        await asyncio.Event().wait()

    call = asyncio.create_task(caller.ask(never, lambda answer: answer))
    await asked.wait()
    assert spared(breaker) == "quota"
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert breaker.admit().probe


async def test_a_call_is_bounded_as_a_whole_and_counted(breaker: Breaker) -> None:
    def counted(result: str) -> float:
        labels = {"call": "moderation", "result": result}
        return REGISTRY.get_sample_value("neurocards_openai_calls_total", labels) or 0

    before = {result: counted(result) for result in ("ok", "timeout", "spared", "bad_answer")}

    async def soon() -> int:
        return 1

    async def never() -> int:
        await asyncio.Event().wait()
        return 0

    def unreadable(answer: int) -> int:
        raise KeyError("results")

    caller = Caller("moderation", 30, breaker)
    assert await caller.ask(soon, lambda answer: answer + 1) == 2
    with pytest.raises(OpenAINoAnswerError):
        await Caller("moderation", 0.01, breaker).ask(never, abs)
    with pytest.raises(OpenAINoAnswerError):
        await caller.ask(soon, unreadable)
    opened(breaker)
    with pytest.raises(OpenAINoAnswerError):
        await caller.ask(soon, abs)
    after = {result: counted(result) - before[result] for result in before}
    assert after == {"ok": 1, "timeout": 1, "spared": 1, "bad_answer": 1}
