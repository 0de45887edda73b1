"""A Redis behind Sentinels fails over while orders run: `make chaos-ha`.

What only the old primary had is lost, and nothing of it was true by itself: no job is lost or made twice.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.platform.redis_keys import LEDGER
from tests.chaos.test_redis import all_made, wave
from tests.support import servers
from tests.support.arena.arena import Arena
from tests.support.sentinel import Server, WatchedValkey
from tests.support.waiting import eventually

pytestmark = [pytest.mark.chaos_ha, pytest.mark.timeout(600)]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[WatchedValkey]:
    with servers.short_folder() as folder:
        valkey = WatchedValkey(folder)
        try:
            valkey.start()
            yield valkey
        finally:
            valkey.stop()


@pytest.fixture
def arena(
    watched: WatchedValkey,
    database_url: str,
    tmp_path: Path,
    dice: random.Random,
    note: Callable[[str], None],
) -> Arena:
    return Arena(tmp_path, database_url, watched, dice, note)


def end_of(server: Server) -> int:
    """The position of the last event published there."""
    return int(server.client().xinfo_stream(LEDGER)["last-generated-id"].partition("-")[0])


def figure(what: str, since_s: float) -> None:
    """For docs/high-availability.md."""
    sys.stdout.write(f"{what} {time.monotonic() - since_s:.1f} s\n")


async def settled(watched: WatchedValkey) -> None:
    await eventually(lambda: asyncio.to_thread(watched.is_settled), 120, interval_s=0.2)


async def failed_over(watched: WatchedValkey, old_port: int, struck_s: float) -> None:
    await eventually(
        lambda: asyncio.to_thread(lambda: watched.primary().port != old_port), 120, interval_s=0.1
    )
    figure("named another primary after", struck_s)


async def test_the_primary_dies_with_what_only_it_had(arena: Arena, watched: WatchedValkey) -> None:
    await settled(watched)
    async with arena.opened(2, SANDBOX_RENDER_SECONDS=1):
        jobs = await wave(arena)
        old, new = watched.primary(), watched.replica()
        assert old.pid and new.pid
        os.kill(new.pid, signal.SIGSTOP)  # it falls behind
        old.client().client_kill_filter(_type="replica")
        shared = end_of(old)
        jobs += await wave(arena, 4)
        await eventually(lambda: end_of(old) > shared, what="the relay to publish")
        had = end_of(old)
        os.kill(old.pid, signal.SIGKILL)
        os.kill(new.pid, signal.SIGCONT)
        struck_s = time.monotonic()
        assert end_of(new) < had, "nothing was lost: nothing was shown"
        (job,) = (await arena.order()).jobs
        more, _ = await asyncio.gather(wave(arena), failed_over(watched, old.port, struck_s))
        await arena.all_ended([job])
        figure("a video ordered just after was ready after", struck_s)
        old.start()  # with its tail, which it gives up as a replica
        await settled(watched)
        await all_made(arena, [*jobs, job, *more])


async def test_the_primary_freezes_and_goes_on_when_another_has_its_place(
    arena: Arena, watched: WatchedValkey
) -> None:
    await settled(watched)
    async with arena.opened(2, SANDBOX_RENDER_SECONDS=1):
        old = watched.primary()
        assert old.pid
        jobs = await wave(arena)
        os.kill(old.pid, signal.SIGSTOP)
        more, _ = await asyncio.gather(wave(arena), failed_over(watched, old.port, time.monotonic()))
        os.kill(old.pid, signal.SIGCONT)
        more += await wave(arena)
        await settled(watched)
        await all_made(arena, jobs + more)
