"""Exponential back-off with jitter."""

import random


def doubling_s(failures: int, first_s: float, max_s: float) -> float:
    return min(max_s, first_s * 2.0 ** min(max(failures, 1) - 1, 20))


def backoff_s(failures: int, first_s: float = 1.0, max_s: float = 300.0) -> float:
    """Back-off after so many failures: doubling, half of it jitter."""
    return doubling_s(failures, first_s, max_s) * random.uniform(0.5, 1.0)
