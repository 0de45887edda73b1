"""How long a video will take, and whether that is in time. Pure."""

import math
from collections.abc import Mapping
from typing import Final

import msgspec

MEASURED_MIN: Final = 20
"""So many videos of a model make a measurement: of fewer, one slow one would be the 95th percentile."""
GUESS_FACTOR: Final = 1.5
"""The catalogue says how long a model usually takes; nearly always it takes at most this times that."""


class Render(msgspec.Struct, frozen=True):
    """How long a model takes from its acceptance of a task: usually, and in 19 of 20 cases. Seconds."""

    usual_s: float
    p95_s: float
    measured: bool = True


class Waiting(msgspec.Struct, frozen=True):
    """One seller's unfinished jobs: not submitted yet, in all; the age of the oldest that nobody started."""

    waiting: int
    open: int
    unstarted_s: float = 0.0


class Capacity(msgspec.Struct, frozen=True):
    """What the provider takes from all our accounts together, and of one seller at once."""

    per_s: float
    in_flight_max: int


class Estimate(msgspec.Struct, frozen=True):
    """Seconds from now until the last of the jobs is submitted, and until its video: usually, and p95."""

    wait_s: float
    usual_s: float
    p95_s: float

    def too_late_s(self, deadline_s: float) -> float:
        """By how much the deadline would be missed; 0 when it would not."""
        return max(0.0, self.p95_s - deadline_s)


def guess(expected_s: float) -> Render:
    """What the catalogue says, for a model that nothing is measured of."""
    return Render(expected_s, expected_s * GUESS_FACTOR, measured=False)


def believed(render: Render, whole_s: float) -> Render:
    """What to go by for jobs that have `whole_s` in all.

    A guess by which no job at all would be in time is wrong: whoever gave jobs so little time knows of a
    quicker provider, e.g. the sandbox. Then nothing is known until something is measured.
    """
    if render.measured or render.p95_s < whole_s:
        return render
    return Render(min(render.usual_s, whole_s), 0.0, measured=False)


def estimate(
    queue: Mapping[str, Waiting], account: str, jobs: int, capacity: Capacity, render: Render
) -> Estimate:
    """For `jobs` more of `account`. Turns are fair: of each other seller as many go before as of this one."""
    mine = queue.get(account, Waiting(0, 0))
    own = mine.waiting + jobs
    others = sum(min(each.waiting, own) for name, each in queue.items() if name != account)
    by_rate_s = (others + own - 1) / capacity.per_s
    # Nobody has started these: too few workers, or none. A new job will not fare better.
    by_age_s = max((each.unstarted_s for each in queue.values()), default=0.0)
    rendering = mine.open - mine.waiting
    waves = math.ceil((rendering + own) / capacity.in_flight_max) - 1
    wait_s = max(by_rate_s, by_age_s) + max(0, waves) * render.usual_s
    return Estimate(wait_s, wait_s + render.usual_s, wait_s + render.p95_s)
