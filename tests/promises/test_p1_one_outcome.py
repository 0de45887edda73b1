"""Promise 1: One charge, one outcome.

Every charged job ends in a video or in one refund; never in neither, never in two charges or two refunds.
Both only in one case, a result that arrives after the deadline's refund: it is given as a gift, once, and
recorded as such.
"""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from events.job import Video
from ledger import commands as c
from ledger.log.ledger import Ledger
from services.monitor.job_deadlines import DeadlineSweep
from tests.integration.ledger.conftest import order, rich
from tests.integration.ledger.machine_money import MoneyMachine
from tests.integration.services.maintenance.conftest import count, overdue
from tests.support.arena.seed import chosen
from tests.support.multi_process_ledger import MultiProcessLedger
from tests.support.order_fixture import OrderFixture

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


@pytest.fixture
def world(database_url: str) -> Iterator[MultiProcessLedger]:
    world = MultiProcessLedger(database_url)
    yield world
    world.close()


def run(world: MultiProcessLedger, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        seed(chosen())(lambda: MoneyMachine(world)),  # type: ignore[arg-type]
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),  # a race does not shrink
        ),
    )


def test_whatever_is_asked_the_ledger_does_what_the_model_says(world: MultiProcessLedger):
    run(world, 8, 16)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_whatever_is_asked_for_a_long_time(world: MultiProcessLedger):
    run(world, 30, 40)


async def test_the_database_itself_refuses_a_second_charge_or_end_of_a_job(ledger, owner):
    await rich(ledger, "a")
    await ledger.execute(order("a", "o"), key="order:o")
    insert = """INSERT INTO events (position, stream, version, type, data, recorded_at_us, hash)
                SELECT max(position) + 1, $1, $2, $3, '{"job":"o-1"}', 0, sha256('x') FROM events"""
    with pytest.raises(asyncpg.UniqueViolationError, match="one_charge_per_job"):
        await owner.execute(insert, "account-b", 1, "CreditsCharged")
    await owner.execute(insert, "job-o-1", 2, "JobSucceeded")
    with pytest.raises(asyncpg.UniqueViolationError, match="one_end_per_job"):
        await owner.execute(insert, "job-o-1", 3, "JobFailed")
    await owner.execute(insert, "account-a", 5, "CreditsRefunded")
    with pytest.raises(asyncpg.UniqueViolationError, match="one_refund_per_job"):
        await owner.execute(insert, "account-a", 6, "CreditsRefunded")


async def test_two_monitors_refund_once(studio: OrderFixture, pool: "Pool", database_url: str) -> None:
    order = await overdue(studio, 20)
    async with Ledger(database_url, pool) as one, Ledger(database_url, pool) as other:
        swept = await asyncio.gather(
            *(DeadlineSweep(ledger, pool).run_once() for ledger in (one, other, one, other))
        )
    assert max(found.found for found in swept) == 20
    assert await count(pool, "JobFailed") == await count(pool, "CreditsRefunded") == 20
    assert (await studio.ledger.read.account(order.seller.account)).balance == 100


async def test_racing_a_success_the_seller_has_a_video_or_the_credit(
    studio: OrderFixture, pool: "Pool", database_url: str
) -> None:
    """Never the charge without a video; a video beside the refund only as a gift."""
    order = await overdue(studio, 30, submitted=True)
    video = Video("videos/v.mp4", "0" * 64, 1)
    async with Ledger(database_url, pool) as one, Ledger(database_url, pool) as other:
        worker = studio.ledger
        successes = [
            worker.execute(c.SucceedJob(job, 1, 1, video), key=f"succeed:{job}:1") for job in order.jobs
        ]
        sweeps = [DeadlineSweep(ledger, pool).run_once() for ledger in (one, other)]
        await asyncio.gather(*sweeps, *successes)
    refunded = 0
    for job in order.jobs:
        types = [event.type for event in await worker.read.stream(f"job-{job}")]
        ends = [name for name in types if name in ("JobSucceeded", "JobFailed", "VideoGifted")]
        assert ends in (["JobSucceeded"], ["JobFailed", "VideoGifted"])
        refunded += ends[0] == "JobFailed"
    assert await count(pool, "CreditsRefunded") == refunded
    assert (await worker.read.account(order.seller.account)).balance == 70 + refunded
    assert not await pool.fetch("SELECT * FROM audit.chain_breaks")
