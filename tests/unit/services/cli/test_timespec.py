"""Times and positions as people write and read them."""

import pytest
import typer

from projections.reports.log_position import NOW, AsOf
from services.cli.timespec import clock, gap, iso, period, point, time_us
from tests.support.each import each

DAY_US = 86_400_000_000


@each(
    ("text", "expected"),
    [
        (None, NOW),
        ("0", AsOf(position=0)),
        (" 2026 ", AsOf(position=2026)),
        ("1970-01-01", AsOf(time_us=0)),
        ("1970-01-02T00:00:00.000001", AsOf(time_us=DAY_US + 1)),
        ("1970-01-01T03:00+03:00", AsOf(time_us=0)),
        ("1970-01-01T00:00:01Z", AsOf(time_us=1_000_000)),
        ("1969-12-31T23:59:59.999999", AsOf(time_us=-1)),
        ("1970-01-01 00:00:02", AsOf(time_us=2_000_000)),
    ],
)
def test_a_point_is_a_position_or_a_time(text: str | None, expected: AsOf) -> None:
    assert point(text) == expected


@each(
    "text",
    [
        "",
        "now",
        "-1",
        "1.5",
        "٣",
        "2026-02-30",
        "2026-01-01T25:00",
        "9" * 20,
        "9" * 5000,
        "9999-12-31T23:00-05:00",
    ],
)
def test_what_is_neither_is_a_usage_error(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        point(text)


def test_the_end_of_a_period_is_a_time_that_does_not_count_or_a_position_that_does() -> None:
    assert period(None, None) == (None, NOW)
    assert period("5", "9") == (AsOf(position=5), AsOf(position=9))
    assert period("1970-01-01", "1970-01-02") == (AsOf(time_us=0), AsOf(time_us=DAY_US - 1))
    # One month's end is the next one's beginning: nothing counts twice and nothing is left out.
    assert period("1970-01-02", None)[0] == AsOf(time_us=DAY_US)
    assert AsOf(time_us=DAY_US).before() == AsOf(time_us=DAY_US - 1)
    assert AsOf(position=5).before() == AsOf(position=4)


def test_times_are_written_in_utc() -> None:
    at_us = time_us("2026-11-22T11:04:39.000007")
    assert iso(at_us) == "2026-11-22T11:04:39.000007Z"
    assert clock(at_us) == "2026-11-22 11:04:39"
    assert (iso(None), clock(None)) == (None, "")
    assert iso(2**62) == f"{2**62}us"  # an event may hold any number
    assert iso(-1) == "1969-12-31T23:59:59.999999Z"


@each(
    ("seconds", "words"),
    [
        (0, "0"), (0.0004, "0.4 ms"), (0.09949, "99.5 ms"), (0.0996, "0.1 s"), (59.94, "59.9 s"),
        (59.96, "1 min"), (61, "1 min 1 s"), (3599.6, "1 h"), (3660, "1 h 1 min"), (86_399.9, "1 d"),
        (90_000, "1 d 1 h"), (-2, "-2.0 s"),
    ],
)  # fmt: skip
def test_a_gap_has_two_units_at_most(seconds: float, words: str) -> None:
    assert gap(seconds) == words
