"""What was kept and what was lost, from what remembers which place."""

from events.envelope import GENESIS, Cursor
from services.recovery.observed import Streams, Trace
from services.recovery.plan import _span
from services.streams.publisher.scripts import StreamState
from tests.support.each import each

STATE = StreamState("0-0", None, "", "")


def place(position: int, history: str = "a") -> Cursor:
    return Cursor(position, history.encode() * 32)


def held(position: int) -> Trace:
    return Trace("cursor", place(position), held=True)


def gone(position: int, history: str = "b") -> Trace:
    return Trace("stream", place(position, history), held=False)


@each(
    ("traces", "fork", "sure", "kept", "lost"),
    [
        ([], None, 0, GENESIS, None),
        ([held(90), held(40)], None, 0, place(90), None),
        ([held(90), gone(150)], None, 0, place(90), place(150, "b")),
        ([held(90), gone(150), gone(120)], None, 0, place(90), place(150, "b")),
        # what stands beyond a lost place has grown since
        ([held(90), held(130), gone(120)], None, 0, place(90), place(120, "b")),
        # the stream tells exactly, whatever cursors have come to since
        ([held(90), held(105), gone(150)], place(100), 0, place(100), place(150, "b")),
        # what was signed later stands, so these were never lost
        ([held(130), gone(120)], None, 130, place(130), None),
        ([held(130), gone(120), gone(150)], None, 130, place(130), place(150, "b")),
        # two remember the same position, one without its hash
        ([held(5), gone(9, "\0"), gone(9)], None, 0, place(5), place(9, "b")),
        ([gone(9)], None, 0, GENESIS, place(9, "b")),
        ([Trace("note", place(9, "b"), held=False, explained=True), held(5)], None, 0, place(5), None),
    ],
)  # fmt: skip
def test_what_was_kept_and_lost(
    traces: list[Trace], fork: Cursor | None, sure: int, kept: Cursor, lost: Cursor | None
) -> None:
    streams = Streams("of another history", STATE, fork)
    assert _span(traces, streams, sure) == (kept, lost)
