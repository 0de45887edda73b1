"""One cycle during which one process is killed, and what must be true afterwards."""

import asyncio
from typing import Final, Literal

from services.cli.demo.seller import Seller
from tests.support.playing import Play

Victim = Literal[
    "bot",
    "worker",
    "relay",
    "projector",
    "notifier",
    "monitor",
    "web",
    "sandbox",
    "valkey",
    "wipe",
    "postgres",
]
VICTIMS: Final[tuple[Victim, ...]] = (
    "bot", "worker", "relay", "projector", "notifier", "monitor", "web", "sandbox", "valkey", "wipe",
)  # fmt: skip
"""`wipe` is no process: FLUSHALL."""

MOMENTS: Final = (
    "begin",
    "draft",
    "order",
    "JobQueued",
    "JobStarted",
    "PromptWritten",
    "SubmissionIntended",
    "SubmissionAccepted",
    "JobSucceeded",
)
"""Steps of the seller, or the event the job has come to."""

_UNKNOWN_AT_THE_PROVIDER = frozenset({"timeout"})
"""A submission that was cut off in the middle is never repeated; its job may run into its deadline."""


async def play_with_a_kill(play: Play, victim: Victim, moment: str) -> None:
    """A cycle with a strike at `moment`; afterwards one outcome, one message, and no submission twice."""
    seller = play.seller()
    if moment == "begin":
        order = await _with_strike(play, victim, seller)
    else:
        order = await _until_order(play, victim, seller, moment)
    await play.settled(seller, order, doubles=victim in ("notifier", "sandbox"))
    assert set(await play.error_classes(seller)) <= _UNKNOWN_AT_THE_PROVIDER
    await play.no_double_submission()


async def _with_strike(play: Play, victim: Victim, seller: Seller) -> str:
    order, _ = await asyncio.gather(play.order(seller), strike(play, victim))
    return order


async def _until_order(play: Play, victim: Victim, seller: Seller, moment: str) -> str:
    await seller.begin()
    if moment == "draft":
        confirm, _ = await asyncio.gather(seller.draft(play.product(seller)), strike(play, victim))
        return await seller.order(confirm)
    confirm = await seller.draft(play.product(seller))
    if moment == "order":
        order, _ = await asyncio.gather(seller.order(confirm), strike(play, victim))
        return order
    ordering = asyncio.create_task(seller.order(confirm))
    job = await play.charged(seller)
    assert await play.witness.until(job, moment, 30), f"the job has not come to {moment}"
    await strike(play, victim)
    return await ordering


async def strike(play: Play, victim: Victim) -> None:
    """Kill it and wait until the supervisor has it running again."""
    if victim == "wipe":
        await play.witness.redis.flushall()
        return
    killed = await play.stack.kill(victim)
    await play.stack.back(victim, killed)
