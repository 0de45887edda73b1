"""Scenario 13: a send to Telegram that times out after it was delivered; a wipe of Redis over an old log.

A double is better than a loss. The only place where one can happen is a send that arrived and whose answer
was lost; every other trouble with Telegram ends in one message.
"""

import asyncio
import signal
from functools import partial
from typing import Any

import pytest

from services.rehearsal.verdict import GRACE_S
from tests.support.arena.arena import SERVICES, Arena
from tests.support.arena.old_log import OLD_JOBS, old_results
from tests.support.arena.sellers import Fault, Seller
from tests.support.waiting import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

BRIEF: dict[str, Any] = {"seconds": 1.5, "retry_after": 1}
ARRIVED = ("drop_after", "hang_after")
DID_NOT = ("drop_before", "hang", "429", "500", "html_502")
REFUSES = Fault("policy")


def spoilt(seller: Seller, call: str, fault: str, args: dict[str, Any] = BRIEF) -> dict[str, Any]:
    """The first final message to a chat meets this; its card was a sendPhoto."""
    match = {"chat": str(seller.chat)}
    return {"api": "telegram", "call": call, "fault": fault, "args": args, "match": match}


async def test_sends_that_go_wrong(arena: Arena) -> None:
    """Each kind of trouble, for a video and for a refusal: two messages where it arrived, else one."""
    wanted: dict[str, int] = {}
    async with arena.opened(2):
        for call in ("sendVideo", "sendMessage"):
            for count, kinds in ((2, ARRIVED), (1, DID_NOT)):
                for fault in kinds:
                    seller = await arena.sellers.new()
                    await arena.sandbox.inject([spoilt(seller, call, fault)])
                    faults = [REFUSES] if call == "sendMessage" else []
                    (job,) = (await arena.order(seller, faults=faults)).jobs
                    wanted[job] = count
        await arena.audit()
        assert {job: len(await arena.finals(job)) for job in wanted} == wanted


async def test_a_notifier_dies_while_its_sends_hang(arena: Arena) -> None:
    """What was delivered is sent once more by the next one, never a third time."""
    async with arena.opened(2):
        sellers = [await arena.sellers.new() for _ in range(4)]
        hang = {"seconds": 20}
        await arena.sandbox.inject([spoilt(seller, "sendVideo", "hang_after", hang) for seller in sellers])
        jobs = [(await arena.order(seller)).jobs[0] for seller in sellers]
        for job in jobs:
            await eventually(partial(arena.finals, job), GRACE_S, what=f"{job} delivered")
        arena.kill("notifier")
        await arena.revive()
        await arena.audit()
        assert [len(await arena.finals(job)) for job in jobs] == [2] * 4


async def test_two_notifiers_and_one_is_frozen(arena: Arena) -> None:
    """Both take from the same rows; the frozen one's are taken over, and it wakes up to find that out."""
    async with arena.opened(2):
        arena.begin("notifier", name="notifier-2")
        await arena.ready("notifier-2")
        jobs = await arena.jobs_of(6)
        arena.running["notifier-2"].signal(signal.SIGSTOP)
        jobs += await arena.jobs_of(6)
        await arena.succeeded(jobs)
        for job in jobs:
            await eventually(partial(arena.finals, job), GRACE_S, what=f"{job} delivered")
        arena.running["notifier-2"].signal(signal.SIGCONT)
        arena.notifier_died = True  # frozen between a send and its note: as good as dead
        await arena.audit()


async def test_no_old_result_is_sent_again_after_a_wipe(arena: Arena) -> None:
    """10,000 results were told long ago. Redis loses everything, twice, while new orders are made."""
    async with arena.opened(0, without=SERVICES):
        old = await old_results(arena)  # in an empty log: who starts writes that it has
        for service in SERVICES:
            arena.begin(service)
        await arena.ready(*SERVICES)
        await arena.workers(2)
        jobs = await arena.jobs_of(4)
        for _ in range(2):
            await asyncio.sleep(arena.dice.uniform(0.2, 1))
            await arena.log_watch.redis.flushall()
            jobs += await arena.jobs_of(4)
        await arena.succeeded(jobs)
        evidence = await arena.audit()
        sent = [row for row in evidence.deliveries if row.state == "sent"]
        assert len(sent) == OLD_JOBS + len(jobs)
        assert evidence.chats[old.chat] == [], "an old result was sent again"
