"""The same path with `BOT_MODE=webhook` under `neurocards up`: Telegram sends the updates."""

import asyncio
from collections.abc import Iterator

import pytest

from services.rehearsal.system import Stack
from tests.support.playing import CREDITS, DEADLINE_S, Play
from tests.support.playing_fixtures import ForkedStack
from tests.support.servers import short_folder


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with short_folder() as folder:
        running = ForkedStack(
            folder,
            FREE_CREDITS=CREDITS,
            JOB_DEADLINE_SECONDS=DEADLINE_S,
            BOT_MODE="webhook",
            BOT_WEBHOOK_SECRET="shown-with-each-update",
        )
        asyncio.run(running.start())
        try:
            yield running
        finally:
            asyncio.run(running.stop())


async def test_an_order_by_updates_that_telegram_sends_ends_in_its_video(play: Play, stack: Stack) -> None:
    seller = play.seller()
    assert await play.settled(seller, await play.order(seller)) == 1
    log = (stack.folder / "data/logs/web.log").read_text("utf-8")
    assert "/webhooks/telegram" in log
