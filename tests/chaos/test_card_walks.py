"""The order card under chance: interleavings with the notifier; walks of taps, texts and restarts."""

import pytest

from tests.unit.services.bot.test_card_message import SEED, interleave, walk

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]


async def test_five_hundred_interleavings_of_bot_commit_and_notifier() -> None:
    for number in range(500):
        await interleave(SEED * 10_000 + number)


async def test_two_thousand_random_walks() -> None:
    for number in range(2_000):
        await walk(SEED * 10_000 + number)
