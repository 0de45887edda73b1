"""How long to wait before trying again."""

import random

FIRST_S = 1.0
LONGEST_S = 300.0
_DOUBLINGS_MAX = 20


def backoff_s(attempts: int) -> float:
    """Seconds after the `attempts`-th failure: doubling from about a second to five minutes, with jitter."""
    longest: float = min(LONGEST_S, FIRST_S * 2 ** min(max(attempts - 1, 0), _DOUBLINGS_MAX))
    return longest * random.uniform(0.5, 1.0)
