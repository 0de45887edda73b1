"""The day's cost from events on a real ledger: told charges, estimates, what waits; the cap they reach."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import asyncpg
import pytest
from prometheus_client import REGISTRY

from events.job import Failure, Video
from ledger import commands as c
from ledger.errors import SalesPausedError
from ledger.log.ledger import Ledger
from ledger.system.commands import CheckDayCap, ResumeSales
from ledger.system.decider import day_of
from services.generation.catalogue import load_catalogue
from services.maintenance.cost_cap import CostCap
from tests.support.order_fixture import OrderFixture

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

CATALOGUE = load_catalogue()
EACH = CATALOGUE.default.provider_credits
"""What a video is thought to cost: the fixture's model `m` is in no catalogue."""
SORRY = Failure("transient")


@pytest.fixture
def cap(ledger: Ledger, pool: "Pool") -> Callable[[int], CostCap]:
    return lambda credits: CostCap(credits, CATALOGUE, ledger, pool)


def cost() -> float:
    return REGISTRY.get_sample_value("neurocards_provider_cost_of_day_credits") or 0.0


async def checks(pool: "Pool") -> list[tuple[int, int]]:
    """Limit and total of every check that stands."""
    sql = "SELECT data::text FROM events WHERE type = 'DayCapChecked' ORDER BY position"
    told = [json.loads(row[0]) for row in await pool.fetch(sql)]
    return [(check["limit"], check["total"]) for check in told]


async def test_a_day_costs_what_was_told_and_else_what_the_catalogue_says(
    studio: OrderFixture, ledger: Ledger, cap: Callable[[int], CostCap]
) -> None:
    order = await studio.order(await studio.seller(), 6)
    told, silent, refused, lost, waits, ended = order.jobs
    for job in (told, silent, refused, lost):
        await studio.start(job)
        await studio.submit(job, task=None if job == refused else f"task-{job}")
    video = Video("v", "00" * 32, 1)
    for job, charged in ((told, 70_500), (silent, None)):
        await ledger.execute(c.SucceedJob(job, 1, 1, video, charged), key=f"succeed:{job}:1")
    for job in (refused, lost):  # one that never became a task, and a task that ended in nothing
        await ledger.execute(c.FailSubmission(job, order.seller.account, 1, 1, SORRY), key=f"fail:{job}")
    await ledger.execute(c.FailJob(ended, order.seller.account, "operator", SORRY), key=f"fail:{ended}")
    looked = cap(0)
    assert await looked.run_once() == 0
    assert cost() == 70.5 + EACH + 0 + EACH + EACH, "told, silent, refused, lost, and the one that waits"
    await studio.start(waits)
    await studio.submit(waits, task="task-waits")
    assert await looked.run_once() == 0 and cost() == 70.5 + 3 * EACH, "counted once"
    assert await cap(0).run_once() == 0 and cost() == 70.5 + 3 * EACH, "the same after a restart"


async def test_what_was_ordered_yesterday_costs_by_its_length_on_the_day_it_is_submitted(
    studio: OrderFixture, ledger: Ledger, cap: Callable[[int], CostCap], monkeypatch: pytest.MonkeyPatch
) -> None:
    account, tomorrow_us = (await studio.seller()).account, ledger.now_us() + 86_400_000_000
    order = c.OrderVideos(
        account, "long", ("long1",), 2, "m", "ugc", "photos/p.jpg", "b", "ru", 900, seconds=10
    )
    await ledger.execute(order, key="order:long")
    looked = cap(0)
    assert await looked.run_once() == 0 and cost() == 2 * EACH, "ten seconds are twice five"
    await studio.start("long1")
    monkeypatch.setattr(ledger, "now_us", lambda: tomorrow_us)
    assert await looked.run_once() == 0 and cost() == 0
    await studio.submit("long1")
    assert await looked.run_once() == 0 and cost() == 2 * EACH


async def test_a_cap_stops_orders_until_it_is_raised_and_is_told_once(
    studio: OrderFixture, ledger: Ledger, pool: "Pool", cap: Callable[[int], CostCap]
) -> None:
    seller = await studio.seller()
    (job,) = (await studio.order(seller)).jobs
    one, other = cap(EACH), cap(EACH)
    assert [await one.run_once(), await other.run_once(), await one.run_once()] == [1, 0, 0]
    with pytest.raises(SalesPausedError, match="cost cap"):
        await studio.order(seller)
    await studio.finish(job)
    assert (await ledger.read.job(job)).outcome == "succeeded", "what was ordered is made"
    assert await cap(EACH + 1).run_once() == 1, "a higher one"
    (second,) = (await studio.order(seller)).jobs
    assert await cap(0).run_once() == 0 and await cap(EACH).run_once() == 1
    resume = ResumeSales("login:neurocards_operator", "Friday")
    await ledger.execute(resume, key="resume")
    assert await cap(EACH).run_once() == 0, "lifted for the rest of the day"
    assert (await studio.order(seller)).jobs != (second,)
    assert await checks(pool) == [
        (EACH * 1000, EACH * 1000), ((EACH + 1) * 1000, EACH * 1000), (EACH * 1000, 2 * EACH * 1000)
    ]  # fmt: skip


async def test_a_cap_that_was_dated_ahead_is_taken_back_when_its_day_has_come(
    studio: OrderFixture, ledger: Ledger, cap: Callable[[int], CostCap]
) -> None:
    """The event of today's stands for one that a clock had dated so: nothing was ordered on its day."""
    seller, today = await studio.seller(), day_of(ledger.now_us())
    await ledger.execute(CheckDayCap("cost", today, EACH * 1000, EACH * 1000), key="ahead")
    with pytest.raises(SalesPausedError):
        await studio.order(seller)
    assert await cap(EACH).run_once() == 1
    await studio.order(seller)
