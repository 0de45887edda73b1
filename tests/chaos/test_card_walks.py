"""The chat under chance: who edits the card when; walks of taps, texts, restarts, erasures."""

from pathlib import Path

import pytest

from tests.integration.services.bot.test_walks import walk_on_postgres
from tests.support import servers
from tests.support.chat_walks import walk_in_memory
from tests.unit.services.bot.test_card_message import SEED, interleave

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]


async def test_five_hundred_interleavings_of_bot_commit_and_notifier() -> None:
    for number in range(500):
        await interleave(SEED * 10_000 + number)


async def test_two_thousand_random_walks() -> None:
    for number in range(2_000):
        await walk_in_memory(SEED * 10_000 + number)


def test_a_hundred_random_walks_on_a_database(postgres: servers.SessionPostgres, tmp_path: Path) -> None:
    for number in range(100):
        walk_on_postgres(postgres, tmp_path / str(number), SEED * 10_000 + number)
