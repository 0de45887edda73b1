"""The system's own rules: starts, pauses of sales, caps of spending."""

import pytest
from msgspec.structs import replace

from events.system import (
    Books,
    KeyRotated,
    LogStated,
    Predecessor,
    SalesPaused,
    SalesResumed,
    SignedState,
    SpendCapReached,
    SystemStarted,
)
from ledger.decider import decide, evolve, initial
from ledger.errors import InvalidCommandError
from ledger.system.commands import (
    PauseSales,
    RecordSpendCap,
    RecordStart,
    ResumeSales,
    RotateKey,
    StateLog,
)

START = RecordStart("worker", "0.1.0", "9f" * 20, "ab" * 32)
PAUSE, RESUME = PauseSales("login:op", "dear"), ResumeSales("account:a1", "cheap again")
CAP = RecordSpendCap("2026-11-30", 500, 510)


def given(*events):
    state = initial("system-sales")
    for event in events:
        state = evolve(state, event)
    return state


def when(state, command):
    return [event for _, event in decide({"system-sales": state}, command, 0)]


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
    assert when(replace(given(), broken="?"), RESUME) == [SalesResumed("account:a1", "cheap again")]


def test_a_cap_is_reached_once_a_day():
    reached = SpendCapReached("2026-11-30", 500, 510)
    assert when(given(), CAP) == [reached] and when(given(reached), CAP) == []
    assert when(given(reached), replace(CAP, day="2026-11-29")) == []
    assert when(given(reached), replace(CAP, day="2026-12-01")) == [replace(reached, day="2026-12-01")]
    assert when(given(), replace(CAP, spent_milli=500)) == [replace(reached, spent_milli=500)]
    for change in ({"day": "today"}, {"cap_milli": 0}, {"spent_milli": 499}):
        with pytest.raises(InvalidCommandError, match="a cap is above 0"):
            when(given(), replace(CAP, **change))


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
