"""Stored events in a line, those of another version too."""

from projections.reports.event_text import describe_stored
from tests.support.each import each


@each(
    ("kind", "data", "said"),
    [
        ("SalesPaused", '{"actor":"login:op","reason":"dear"}', "sales paused: dear, by login:op"),
        ("SalesPaused", "{}", "cannot be read"),
        ("SalesFrozen", "{}", "this code is older than the log"),
    ],
)
def test_a_stored_event_is_told_or_why_not(kind: str, data: str, said: str) -> None:
    assert said in describe_stored(kind, data)
