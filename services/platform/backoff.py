"""How long to wait before trying again."""

import random


def doubling_s(failures: int, first_s: float, max_s: float) -> float:
    """The bound after so many failures in a row: doubling from `first_s` up to `max_s`."""
    return min(max_s, first_s * 2.0 ** min(max(failures, 1) - 1, 20))


def backoff_s(failures: int, first_s: float = 1.0, max_s: float = 300.0) -> float:
    """A pause after so many failures in a row: doubling, half of it left to chance."""
    return doubling_s(failures, first_s, max_s) * random.uniform(0.5, 1.0)
