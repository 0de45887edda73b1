"""What a stream's end is beside the log."""

from services.platform.redis_keys import JOBS, LEDGER
from services.streams.entries import JobEntry
from services.streams.status import CONTRADICTIONS, Event, Stream, Tail, tail_of
from tests.support.each import each

EVENTS = {9: Event(1, b"nine", "job-a", "JobQueued"), 10: Event(1, b"ten", "account-a", "CreditsGranted")}
JOB = JobEntry(9, "a", "JobQueued")


@each(
    ("stream", "newest_open", "expected"),
    [
        (Stream(LEDGER, True, 5, "6-0", "10-0", tail=b"ten"), 0, "as the log"),
        (Stream(LEDGER, True, 5, "5-0", "9-0", tail=b"nine"), 0, "behind"),
        (Stream(LEDGER, True, 0, "", "10-0"), 0, "trimmed"),
        (Stream(LEDGER, True, 5, "6-0", "10-0", tail=b"other"), 0, "differs from the log"),
        (Stream(LEDGER, True, 5, "7-0", "11-0", tail=b"eleven"), 0, "ahead of the log"),
        (Stream(LEDGER, True, 5, "6-0", "10-1"), 0, "not ours"),
        (Stream(LEDGER, True, 5, "6-0", "10-0", foreign=True), 0, "not ours"),
        (Stream(LEDGER, False), 0, "missing"),
        (Stream(JOBS, True, 1, "9-0", "9-0", tail=JOB), 9, "as the log"),
        (Stream(JOBS, True, 1, "9-0", "9-0", tail=JOB), 10, "lacks unfinished jobs"),
        (Stream(JOBS, True, 1, "9-0", "9-0", tail=JobEntry(9, "b", "JobQueued")), 9, "differs from the log"),
        (Stream(JOBS, True, 1, "8-0", "8-0", tail=JobEntry(8, "a", "JobQueued")), 0, "differs from the log"),
        (Stream(JOBS, True, 1, "11-0", "11-0", tail=JobEntry(11, "a", "JobQueued")), 9, "ahead of ledger"),
        (Stream(JOBS, True), 0, "empty"),
        (Stream(JOBS, True, 0, "", "9-0"), 0, "trimmed"),
    ],
)  # fmt: skip
def test_the_end_of_a_stream(stream: Stream, newest_open: int, expected: Tail) -> None:
    assert tail_of(stream, 10, EVENTS, newest_open) == expected


def test_what_the_relay_mends_by_itself_is_no_contradiction() -> None:
    assert CONTRADICTIONS.isdisjoint({"missing", "lacks unfinished jobs", "ahead of ledger", "behind"})
