"""Retry and poll intervals of jobs. Pure: randomness comes in as a number."""

from typing import Final

from events.job import Failure
from ledger.jobs.state import JobState
from services.generation.error_classes import policy_for
from services.platform.backoff import doubling_s

SUBMISSIONS_MAX: Final = 4
RATE_LIMITED_MAX: Final = 12
"""Submissions that were only told "too many at once" cost nothing and are counted apart."""
AMBIGUOUS_MAX: Final = 3
"""Submissions answered by a bare 500 without a task: each bears a small risk that a task exists after all."""
CRASHES_MAX: Final = 5

RETRY_PAUSE_S_MAX: Final = 60.0
POLL_GROWTH: Final = 1.5
POLL_FACTOR_MAX: Final = 3.0
LAST_LOOK_S: Final = 2.0


def retry_pause_s(
    state: JobState,
    failure: Failure,
    *,
    base_s: float,
    chance: float,
    retry_after_s: float | None = None,
    accounts: int = 1,
) -> float | None:
    """Seconds before the next submission; None when there is to be none.

    `state` is from before the failure is recorded. Exponential back-off with full jitter: `chance` (0 to 1)
    picks a point between nothing and the bound. The provider's wish (`retry_after_s`) comes on top. An
    account's own trouble is tried with each of the others (`accounts` in all) at once.
    """
    policy = policy_for(failure.error_class)
    earlier = [s.failure for s in state.submissions if s.failure is not None]
    if policy.rests_key:  # by then that account rests, so the next one is another
        rested = sum(policy_for(f.error_class).rests_key for f in earlier)
        return 0.0 if rested + 1 < accounts else None
    if not policy.retries:
        return None
    limited = [f for f in earlier if f.error_class == "rate_limited"]
    if failure.error_class == "rate_limited":
        tries, tries_max = len(limited) + 1, RATE_LIMITED_MAX
    else:
        tries, tries_max = len(earlier) - len(limited) + 1, SUBMISSIONS_MAX
        if _ambiguous(state, failure):
            tries_max = AMBIGUOUS_MAX
    if tries >= tries_max:
        return None
    return (retry_after_s or 0.0) + jitter_s(tries, base_s, RETRY_PAUSE_S_MAX, chance)


def poll_pause_s(polls: int, first_s: float, chance: float, left_s: float) -> float:
    """Seconds before look `polls` + 1: growing to three times the first, ±10 %. The last look comes just
    before the deadline rather than just after it; `left_s` is the time to it."""
    pause_s = first_s * min(POLL_FACTOR_MAX, POLL_GROWTH**polls) * (0.9 + 0.2 * chance)
    if pause_s < left_s - LAST_LOOK_S:
        return pause_s
    return max(left_s - LAST_LOOK_S, left_s / 2, 0.0)


def jitter_s(tries: int, base_s: float, max_s: float, chance: float) -> float:
    """Exponential back-off with full jitter: a point below a bound that doubles."""
    return doubling_s(tries, base_s, max_s) * chance


def crashes(state: JobState) -> int:
    """Crashed runs: ended without progress or word, an open last one included."""
    return state.crashes + int(state.run_open and not state.progressed)


def _ambiguous(state: JobState, failure: Failure) -> bool:
    live = state.live_submission
    return failure.code == "500" and live is not None and live.task is None
