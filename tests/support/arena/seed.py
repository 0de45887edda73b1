"""The number that every chance of a chaos run follows from: CHAOS_SEED, a new one when it is not set."""

import os
import random

VARIABLE = "CHAOS_SEED"
_SEEDS = 1_000_000


def chosen() -> int:
    """The session's seed; the test processes that pytest-xdist starts find it in their environment."""
    if not os.environ.get(VARIABLE):
        os.environ[VARIABLE] = str(random.randrange(_SEEDS))
    return int(os.environ[VARIABLE])


def dice(name: str) -> random.Random:
    """The chances of one test, by its name: the same again with the same seed, whatever else runs."""
    return random.Random(f"{chosen()}/{name}")
