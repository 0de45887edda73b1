"""The system's own rules: starts, pauses of sales, caps of spending."""

from typing import Any

import pytest
from msgspec.structs import replace

from events.system import (
    Books,
    DayCapChecked,
    KeyRotated,
    LogStated,
    Predecessor,
    SalesPaused,
    SalesResumed,
    SignedState,
    SystemStarted,
)
from ledger.commands import OrderVideos
from ledger.decider import decide, evolve, initial, streams_read
from ledger.errors import InvalidCommandError, SalesPausedError
from ledger.system.commands import (
    CheckDayCap,
    PauseSales,
    RecordStart,
    ResumeSales,
    RotateKey,
    StateLog,
)
from tests.support.payment_samples import ORDER

START = RecordStart("worker", "0.1.0", "9f" * 20, "ab" * 32)
PAUSE, RESUME = PauseSales("login:op", "dear"), ResumeSales("account:a1", "cheap again")
NOON_US, TODAY = 1_796_040_000_000_000, 20_787
CAP = CheckDayCap("cost", TODAY, 500, 510)


def given(*events) -> Any:
    state = initial("system-sales")
    for event in events:
        state = evolve(state, event)
    return state


def when(state, command):
    return [event for _, event in decide({"system-sales": state}, command, NOON_US)]


def begun(command, *before):
    return decide({f"system-{command.process}": given(*before)}, command, 0)


def test_each_start_is_recorded_in_its_process_stream():
    started = SystemStarted("worker", "0.1.0", "9f" * 20, "ab" * 32)
    assert begun(START, started) == [("system-worker", started)]
    assert begun(replace(START, commit="")) == [("system-worker", replace(started, commit=""))]
    for change in (
        {"process": "sales"}, {"process": "log"}, {"process": "clock"}, {"process": "Anna Petrova"},
        {"process": ""}, {"version": "my laptop"}, {"commit": "main"}, {"settings": ""},
        {"settings": "AB" * 32},
    ):  # fmt: skip
        with pytest.raises(InvalidCommandError):
            begun(replace(START, **change))


def test_sales_are_paused_and_resumed_once_by_somebody():
    paused, resumed = SalesPaused("login:op", "dear"), SalesResumed("account:a1", "cheap again")
    assert when(given(), PAUSE) == [paused] and when(given(), RESUME) == []
    assert when(given(paused), PAUSE) == [] and when(given(paused), RESUME) == [resumed]
    assert when(given(paused, resumed), PAUSE) == [paused]
    for command in (PAUSE, RESUME):
        for change in ({"actor": ""}, {"actor": "ann"}, {"reason": ""}):
            with pytest.raises(InvalidCommandError):
                when(given(paused), replace(command, **change))


def test_a_pause_that_cannot_be_read_can_be_ended():
    unread, resumed = replace(given(), broken="?"), SalesResumed("account:a1", "cheap again")
    assert when(unread, RESUME) == [resumed]
    after: Any = evolve(unread, resumed)
    assert unread.closed(NOON_US) == "paused" and after.closed(NOON_US) is None


def test_a_cap_is_reached_once_a_day():
    reached = DayCapChecked("cost", TODAY, 500, 510)
    assert when(given(), CAP) == [reached] and when(given(reached), CAP) == []
    assert when(given(), replace(CAP, total=500)) == [replace(reached, total=500)]
    assert when(given(), replace(CAP, total=499)) == when(given(), replace(CAP, limit=0)) == []
    for change in ({"day": 0}, {"limit": -1}, {"total": -1}):
        with pytest.raises(InvalidCommandError, match="not below 0"):
            when(given(), replace(CAP, **change))


def test_a_cap_counts_on_its_own_day_wherever_it_was_dated():
    """One of next year, by a clock that was ahead, refuses nothing today, hides no cap, and is taken back."""
    ahead = DayCapChecked("cost", TODAY + 365, 500, 510)
    assert given(ahead).closed(NOON_US) is None
    assert when(given(ahead), CAP) == [replace(ahead, day=TODAY)]
    assert given(ahead, replace(ahead, day=TODAY)).closed(NOON_US) == "cap"
    there_us = NOON_US + 365 * 86_400_000_000
    assert given(ahead).closed(there_us) == "cap"
    (back,) = when(given(ahead), replace(CAP, day=TODAY + 365, total=0))
    assert given(ahead, back).closed(there_us) is None
    assert when(given(ahead), replace(CAP, day=TODAY + 365, limit=0)), "the cap was taken away"


def test_a_cap_is_lifted_for_the_rest_of_its_day_and_no_longer():
    reached = DayCapChecked("cost", TODAY, 500, 510)
    (resumed,) = when(given(reached), RESUME)
    assert resumed.day == TODAY and when(given(reached, resumed), RESUME) == []
    assert when(given(reached, resumed), replace(CAP, total=900)) == []
    assert when(given(reached, resumed), replace(CAP, day=TODAY + 1)) != []
    assert when(given(replace(reached, day=TODAY - 1)), RESUME) == [], "over with its day"
    (paused,) = when(given(reached, resumed), PAUSE)
    (again,) = when(given(reached, resumed, paused), RESUME)
    assert again.day == TODAY and when(given(reached, resumed, paused, again), CAP) == [], "a pause between"


def test_welcomes_have_a_cap_of_their_own():
    welcome = DayCapChecked("welcome", TODAY, 500, 510)
    assert when(given(welcome), CAP) == [replace(welcome, cap="cost")]
    assert given(welcome).closed(NOON_US) is None and given(welcome).welcome_day == TODAY
    resumed = SalesResumed("account:a1", "cheap again")
    assert when(given(welcome, resumed), replace(CAP, cap="welcome")) == []


@pytest.mark.parametrize("sale", [ORDER, OrderVideos("a", "o", ("j",), 1, "m", "ugc", "p", "b", "ru", 900)])
@pytest.mark.parametrize("why", ["paused", "cap"])
def test_nothing_is_sold_while_sales_are_paused(sale, why):
    closed = given(SalesPaused("login:op", "dear") if why == "paused" else DayCapChecked("cost", TODAY, 1, 1))
    view = {stream: initial(stream) for stream in streams_read(sale)} | {"system-sales": closed}
    with pytest.raises(SalesPausedError) as refused:
        decide(view, sale, NOON_US)
    assert refused.value.why == why


KEY, NEW, THIEF, RESTORED = (
    f"{name}+0123abcd+{letter * 44}"
    for name, letter in (("log", "A"), ("log", "B"), ("log", "C"), ("log/2", "C"))
)
FIRST = LogStated(KEY, "0.1.0", (SignedState("balances", 7, "00"),), Books(7, (("accounts", 1),)))
NEXT = replace(FIRST, previous=Predecessor("log", 8, "00", "00"))


def stated(told, *before):
    command = StateLog(told) if isinstance(told, LogStated) else RotateKey(told)
    return decide({"system-log": given(*before)}, command, 0)


def test_the_log_is_stated_by_one_key_until_that_hands_over():
    rotated = KeyRotated(KEY, NEW, "", "login:op", "why")
    assert stated(FIRST) == [("system-log", FIRST)]
    assert stated(NEXT, FIRST) == [("system-log", NEXT)]
    assert stated(rotated, FIRST) == [("system-log", rotated)]
    assert stated(replace(NEXT, key=NEW), FIRST, rotated)
    assert stated(replace(NEXT, key=RESTORED), FIRST)  # a restored log begins anew, with any key
    for told, before in (
        (replace(NEXT, key=THIEF), (FIRST,)),
        (NEXT, (FIRST, rotated)),
        (NEXT, (replace(FIRST, key=RESTORED),)),
        (replace(NEXT, key=RESTORED.replace("log/2", "other/2")), (FIRST,)),
        (FIRST, (FIRST,)),
        (rotated, ()),
        (rotated, (FIRST, rotated)),
        (replace(rotated, new=RESTORED), (FIRST,)),
        (replace(rotated, new=KEY), (FIRST,)),
        (replace(rotated, reason=""), (FIRST,)),
        (replace(rotated, actor="ann"), (FIRST,)),
        (replace(rotated, new="log+x+y"), (FIRST,)),
        (replace(FIRST, key=KEY + "=\nfrom"), ()),
        (replace(FIRST, books=None), ()),
        (replace(FIRST, books=Books(6, ())), ()),
        (replace(FIRST, states=()), ()),
    ):
        with pytest.raises(InvalidCommandError):
            stated(told, *before)
