"""Progress bar of a render, by the usual time. Pure."""

from typing import Final

import msgspec

STEPS: Final = 10
CEILING_PERCENT: Final = 95
"""Nobody knows that it is done before it is."""
LATE: Final = 1.5
"""From so many usual times on it takes longer than usual."""


class Progress(msgspec.Struct, frozen=True):
    """What a person sees; it changes at STEPS moments and once more when it is late, never by the second.

    `left_s` is 0 at the ceiling and None when late. `next_s`: seconds until it looks otherwise; None: never.
    """

    percent: int
    left_s: float | None
    next_s: float | None


def progress(elapsed_s: float, usual_s: float, floor_percent: int = 0) -> Progress:
    """Progress after `elapsed_s` of `usual_s` (above 0); not below what was shown before."""
    elapsed_s = max(0.0, elapsed_s)
    step = min(STEPS, int(elapsed_s / usual_s * STEPS))
    percent = max(floor_percent, CEILING_PERCENT if step == STEPS else step * 100 // STEPS)
    if elapsed_s >= usual_s * LATE:
        return Progress(percent, None, None)
    ends_s = usual_s * (LATE if step == STEPS else (step + 1) / STEPS)
    return Progress(percent, usual_s * (STEPS - step) / STEPS, ends_s - elapsed_s)


def floor_after(elapsed_s: float, usual_s: float, floor_percent: int) -> int:
    """Where the bar goes on after a submission that failed: a step further, as somebody may have been shown
    one since the failure."""
    shown = progress(elapsed_s, usual_s, floor_percent).percent
    return min(CEILING_PERCENT, shown + 100 // STEPS)


def bar(percent: int) -> str:
    return "".join("▰" if cell * 100 // STEPS < percent else "▱" for cell in range(STEPS))
