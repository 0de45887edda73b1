"""The bar by tables, and under chance: whatever happens and whenever it is looked at, it never goes back."""

import json
import random

from events.envelope import GENESIS_HASH, Recorded
from services.notifier.expected_messages import JobLine, fold
from services.notifier.messages import StatusLine
from services.notifier.progress_bar import CEILING_PERCENT, STEPS, bar, progress
from tests.support.each import each


@each(
    ("elapsed_s", "floor", "percent", "left_s", "next_s"),
    [
        (-3.0, 0, 0, 200, 20),
        (0.0, 0, 0, 200, 20),
        (19.0, 0, 0, 200, 1),
        (20.0, 0, 10, 180, 20),
        (100.0, 0, 50, 100, 20),
        (100.0, 70, 70, 100, 20),
        (199.0, 0, 90, 20, 1),
        (200.0, 0, 95, 0, 100),
        (299.0, 0, 95, 0, 1),
        (300.0, 0, 95, None, None),
        (1e6, 40, 95, None, None),
    ],
)
def test_progress_of_what_usually_takes_two_hundred_seconds(
    elapsed_s: float, floor: int, percent: int, left_s: float | None, next_s: float | None
) -> None:
    found = progress(elapsed_s, 200.0, floor)
    assert (found.percent, found.left_s, found.next_s) == (percent, left_s, next_s)


def test_a_bar_is_ten_cells_and_full_only_in_sight_of_the_end() -> None:
    assert [bar(percent).count("▰") for percent in (0, 10, 50, 95)] == [0, 1, 5, 10]
    assert {len(bar(percent)) for percent in range(101)} == {STEPS}


def event(position: int, type_name: str, at_s: float) -> Recorded:
    data = json.dumps({"account": "a", "order": "o", "model": "m", "seconds": 5})
    at_us = int(at_s * 1e6)
    return Recorded(position, "job-j", position, type_name, data, None, None, None, None, at_us, GENESIS_HASH)


class Watched:
    """A card that is looked at as events come."""

    def __init__(self) -> None:
        self.seen = self.position = 0
        self.line = JobLine("j", "o", "a", 1, 1, 1, "en")

    def happens(self, type_name: str, at_s: float, usual_s: float) -> None:
        self.position += 1
        events = [event(self.position, type_name, at_s)]
        self.line = fold({"j": self.line}, events, lambda *_: usual_s).lines.get("j", self.line)

    def look(self, at_s: float) -> None:
        line = self.line
        elapsed_s = at_s - line.rendering_us / 1e6
        shown = StatusLine(
            line.job, 1, line.state, False, "", 0, 0, elapsed_s, line.usual_s, line.floor_percent
        )
        if shown.progress is not None:
            assert self.seen <= shown.progress.percent <= CEILING_PERCENT
            self.seen = shown.progress.percent


def test_it_never_goes_back_and_never_says_that_it_is_done() -> None:
    """Retries, other models, other measurements; some looks come while the newest event is not read yet."""
    dice, ceilings = random.Random(15), 0
    for _ in range(300):
        card, now_s = Watched(), dice.uniform(0, 1e6)
        for _event in range(30):
            unread_s = dice.uniform(0, (card.line.usual_s or 5.0) / STEPS)
            card.look(now_s + unread_s)
            name = dice.choice(("SubmissionIntended", "RetryScheduled", "JobStarted", "PromptWritten"))
            card.happens(name, now_s, dice.choice((5.0, 90.0, 600.0)))
            now_s += unread_s
            for _look in range(dice.randrange(5)):
                now_s += dice.expovariate(3 / (card.line.usual_s or 5.0))
                card.look(now_s)
        ceilings += card.seen == CEILING_PERCENT
    assert 0 < ceilings < 300
