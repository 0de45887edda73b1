"""One cycle during which one process is killed, and what must be true afterwards."""

import asyncio
import signal
from typing import Final, Literal

from services.rehearsal.seller import Seller
from tests.support.playing import Play

Victim = Literal[
    "bot", "worker", "relay", "projector", "notifier", "monitor", "maintenance", "web", "sandbox", "valkey",
    "wipe", "postgres", "up",
]  # fmt: skip
VICTIMS: Final[tuple[Victim, ...]] = (
    "bot", "worker", "relay", "projector", "notifier", "monitor", "maintenance", "web", "sandbox", "valkey",
    "wipe",
)  # fmt: skip
"""`wipe` is no process: FLUSHALL. `up`, the supervisor, takes everything with it."""

MOMENTS: Final = (
    "begin", "draft", "order",
    "JobQueued", "JobStarted", "PromptWritten", "SubmissionIntended", "SubmissionAccepted", "JobSucceeded",
)  # fmt: skip
"""Steps of the seller, or the event the job has come to."""

ALLOWED: Final = frozenset({"timeout"})
"""How a job may fail: a submission that was cut off in the middle is never repeated and may time out."""
ALLOWED_WITHOUT_PROVIDER: Final = ALLOWED | {"transient"}
"""While the sandbox is away so is the provider, and some tries later the credit comes back."""

_MAY_DOUBLE: Final = ("notifier", "sandbox", "up", "postgres")
"""Whose end may leave it open whether a message was sent: then it is sent once more."""


async def play_with_a_kill(play: Play, victim: Victim, moment: str) -> None:
    """A cycle with a strike at `moment`; afterwards one outcome, one message, and no submission twice."""
    seller = play.seller()
    order = await _ordered(play, victim, seller, moment)
    await play.settled(seller, order, doubles=victim in _MAY_DOUBLE)
    failed = set(await play.error_classes(seller))
    assert failed <= (ALLOWED_WITHOUT_PROVIDER if victim == "sandbox" else ALLOWED)
    await play.no_double_submission()


async def strike(play: Play, victim: Victim) -> None:
    """Kill it and wait until it runs again; the supervisor sees to that, but for itself."""
    if victim == "wipe":
        await play.log_watch.redis.flushall()
    elif victim == "up":
        await play.stack.stop(signal.SIGKILL)
        await play.stack.start()
    else:
        killed = await play.stack.kill(victim)
        await play.stack.back(victim, killed)


async def _ordered(play: Play, victim: Victim, seller: Seller, moment: str) -> str:
    """The seller's order, with the strike at its moment."""
    if moment == "begin":
        return (await asyncio.gather(play.order(seller), strike(play, victim)))[0]
    await seller.begin()
    if moment == "draft":
        drafting = seller.draft(play.product(seller))
        confirm, _ = await asyncio.gather(drafting, strike(play, victim))
        return await seller.order(confirm)
    confirm = await seller.draft(play.product(seller))
    if moment == "order":
        return (await asyncio.gather(seller.order(confirm), strike(play, victim)))[0]
    ordering = asyncio.create_task(seller.order(confirm))
    job = await play.charged(seller)
    assert await play.log_watch.until(job, moment, 30), f"the job has not come to {moment}"
    await strike(play, victim)
    return await ordering
