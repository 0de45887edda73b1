"""A disk fills while sellers order, then there is room: that of all but the companies, or of Redis alone."""

import asyncio
import os
import signal
import time

import pytest

from services.rehearsal.chat_client import ChatError, open_http
from services.rehearsal.log_watch import LogWatch
from services.rehearsal.system import Stack
from tests.chaos.test_sentinel import figure
from tests.support.playing import CREDITS, DEADLINE_S, Play
from tests.support.servers import short_folder
from tests.support.small_disk import SmallRedis, small_disk
from tests.support.waiting import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

FULL_S = 10


async def test_orders_on_a_full_disk_are_made_when_there_is_room() -> None:
    """Nothing is started by hand. What was tapped meanwhile is done, or was refused in words."""
    with short_folder() as folder, small_disk(folder / "data", 400, elsewhere="sandbox") as disk:
        stack = Stack(folder, FREE_CREDITS=CREDITS, JOB_DEADLINE_SECONDS=DEADLINE_S)
        async with stack, open_http(60) as http, LogWatch(stack.settings) as log_watch:
            play = Play(stack, log_watch, http)
            await play.sandbox.change(small_videos=True)
            before, during = play.seller(), play.seller()
            orders = {before: await play.order(before)}
            await during.begin()
            confirm = await during.draft(play.product(during))
            disk.fill()
            tapping = asyncio.create_task(during.order(confirm))
            for name in ("postgres", "valkey", "worker", "relay"):
                os.kill(stack.pid(name), signal.SIGKILL)
            await asyncio.sleep(FULL_S)  # the very thing that is played
            disk.free()
            freed_s = time.monotonic()
            try:
                orders[during] = await tapping
            except ChatError:
                orders[during] = await during.order(confirm)
            await during.results(orders[during], 1, DEADLINE_S + 60)
            figure("after there was room, what was tapped before is a video after", freed_s)
            for seller, order in orders.items():
                await play.settled(seller, order, doubles=True)
            await play.everything_holds()


async def test_an_order_tapped_while_redis_takes_no_writes_is_made_when_there_is_room() -> None:
    """Redis lives and can be read. Each process tells the outage once; what was tapped is not lost."""
    with short_folder() as folder, small_disk(folder / "data/valkey", 16) as disk:
        stack = Stack(folder, FREE_CREDITS=CREDITS)
        async with stack, open_http(60) as http, LogWatch(stack.settings) as log_watch:
            play = Play(stack, log_watch, http)
            await play.sandbox.change(small_videos=True)
            before, during = play.seller(), play.seller()
            assert await play.settled(before, await play.order(before)) == 1
            small = SmallRedis(disk, "", log_watch.redis)
            await small.refuse_writes()
            order = await play.order(during)
            await play.charged(during)

            def told(name: str) -> list[str]:
                lines = stack.log_tail(name, 1000).splitlines()
                return [line for line in lines if "MISCONF" in line]

            await eventually(lambda: told("relay") and told("worker"), what="relay and worker to tell it")
            await asyncio.sleep(FULL_S)  # many tries more, which say nothing
            assert not await during.results(order, 0, 0), "made without a stream"
            await small.make_room()
            assert await play.settled(during, order) == 1
            await play.everything_holds()
            for name in ("relay", "worker", "bot", "web", "notifier", "maintenance", "monitor", "projector"):
                assert len(told(name)) <= 1, told(name)
