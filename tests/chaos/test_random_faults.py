"""Scenario 12: many jobs while three calls in ten go wrong, in every way the sandbox knows.

Provider, its tasks and its callbacks, OpenAI, Telegram. Each job ends one way or the other, and is told.
"""

from collections import Counter
from typing import Any

import pytest

from tests.support.arena import seed
from tests.support.arena.arena import Arena

pytestmark = pytest.mark.timeout(600)

RATE = 0.3
KEYS = 6
PATIENCE: dict[str, dict[str, Any]] = {
    "hang": {"seconds": 1.5},
    "hang_after": {"seconds": 1.5},
    "429": {"retry_after": 1},
    "late_success": {"seconds": 3},
}
"""How long what is slow takes: the deadlines are seconds here."""


async def faults_at_random(arena: Arena, jobs: int, deadline_s: int, workers: int) -> Counter[str]:
    """How many jobs ended in which way."""
    sandbox = arena.settings.sandbox_base
    keys = ",".join(f"key-{number}" for number in range(KEYS))  # one that is refused rests
    urls: dict[str, Any] = {"KIE_API_URL": f"{sandbox}/kie", "KIE_UPLOAD_URL": f"{sandbox}/kie"}
    async with arena.opened(workers, KIE_API_KEYS=keys, CALLBACK_SECRET="of the arena alone", **urls):
        await arena.sandbox.seed(seed.chosen(), RATE, args=PATIENCE)
        ordered = 0
        while ordered < jobs:
            count = min(arena.dice.choice((1, 1, 2, 3, 5)), jobs - ordered)
            await arena.order(jobs=count, deadline_s=deadline_s + arena.dice.randrange(5))
            ordered += count
        await arena.audit()
        return Counter([(await arena.job(job)).outcome for o in arena.sellers.orders for job in o.jobs])


@pytest.mark.chaos
async def test_two_hundred_jobs(arena: Arena) -> None:
    ended = await faults_at_random(arena, 200, deadline_s=40, workers=3)
    assert ended["succeeded"] > 10 and ended["failed"] > 10, ended
