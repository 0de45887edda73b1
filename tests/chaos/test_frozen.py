"""SIGSTOP of relay and bot under `neurocards up`: nobody wakes them, and both are replaced."""

import asyncio
import os
import signal

import pytest

from services.rehearsal.system import Stack
from tests.support.playing import Play

NOTICED_WITHIN_S = 180
"""Seven questions of at most ten seconds, and a start, on a machine with other work."""


@pytest.mark.chaos
async def test_frozen_processes_are_replaced_and_an_order_is_made(play: Play, stack: Stack) -> None:
    frozen = {name: stack.pid(name) for name in ("relay", "bot")}
    for pid in frozen.values():
        os.kill(pid, signal.SIGSTOP)
    await asyncio.gather(*(stack.back(name, pid, NOTICED_WITHIN_S) for name, pid in frozen.items()))
    seller = play.seller()
    await play.settled(seller, await play.order(seller))
    await play.everything_holds()
