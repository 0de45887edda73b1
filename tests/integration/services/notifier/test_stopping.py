"""A notifier that is told to stop in the middle of a send."""

import asyncio
import signal
from typing import TYPE_CHECKING

import asyncpg
import pytest

from services.platform.process import STOP_GRACE_S
from tests.integration.services.notifier.conftest import StartNotifier, finished
from tests.support.order_fixture import OrderFixture
from tests.support.telegram import ScriptedTelegram, Step
from tests.support.waiting import PATIENCE_S

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


@pytest.mark.slow
async def test_a_stop_waits_for_a_video_that_is_being_sent(
    studio: OrderFixture, start: StartNotifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    """Cut off, nobody would know whether it arrived, and it would be sent once more."""
    held = telegram.next("sendVideo", Step(hold=True))
    order = await finished(studio)
    process = await start("first")
    await asyncio.wait_for(held.reached.wait(), 60)
    process.signal(signal.SIGTERM)
    await asyncio.sleep(STOP_GRACE_S + 0.5)  # so long others are given to end
    assert process.running
    held.release.set()
    assert await asyncio.to_thread(process.wait_ended, PATIENCE_S) == 0
    assert await pool.fetchval("SELECT state FROM deliveries") == "sent"
    assert [shown.video for shown in telegram.sent(order.seller.chat_id)] == [b"the film"]
