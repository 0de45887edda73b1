"""Who rests a model, and who finds out whether it is well: nobody pays for a video that may not come."""

from typing import Any

import pytest

from events.job import SubmissionIntended
from services.generation.circuit_breaker.store import CircuitBook
from services.generation.wait_estimate import Render
from tests.integration.services.worker.test_models import (
    MODEL,
    OTHERS,
    circuit,
    end_rest,
    made_by,
    models,
    spoil,
    tools_of,
)
from tests.support.waiting import eventually
from tests.support.worker_fixture import WorkerFixture


@pytest.fixture
def book(pool: Any) -> CircuitBook:
    """What an operator has: any other process."""
    return CircuitBook(pool)


async def test_one_sellers_failures_rest_no_model_for_all(workshop: WorkerFixture, book: CircuitBook) -> None:
    spoil(workshop, MODEL, "task_transient")
    await workshop.worker(model_failures_max=2, model_rest_seconds=600)
    jobs = await workshop.order(3)
    for job in jobs:
        state = await workshop.ended(job)
        assert state.failure is not None and state.failure.error_class == "transient"
        assert set(await models(workshop, job)) == {MODEL}
    assert (await circuit(book)).available
    assert (await circuit(book)).failed == (await workshop.account(),)
    await workshop.audit()


async def test_a_job_that_could_not_be_made_afterwards_is_no_probe(
    workshop: WorkerFixture, book: CircuitBook
) -> None:
    """The ordered model is to be tried, and would take so long that no other could follow it in time."""
    running = await workshop.worker(model_failures_max=1, model_rest_seconds=600)
    spoil(workshop, MODEL, "task_transient", times=1)
    (first,) = await workshop.order()
    assert await made_by(workshop, first) == [MODEL, OTHERS[0]]
    await end_rest(workshop, running)
    tools_of(running).render_times._measured = {slug: Render(15, 20) for slug in (MODEL, *OTHERS)}
    (short,) = await workshop.order(deadline_s=30)
    assert await made_by(workshop, short) == [OTHERS[0]]
    (long,) = await workshop.order(deadline_s=300)
    assert await made_by(workshop, long) == [MODEL]
    await workshop.audit()


async def test_where_nobody_can_try_them_models_come_back_by_a_question_that_costs_nothing(
    workshop: WorkerFixture, book: CircuitBook
) -> None:
    """All are paused, and the bot takes no order: there is no job that could find out."""
    await workshop.account()
    workshop.sandbox.turn(paused_models=[MODEL, *OTHERS])
    await workshop.worker(model_rest_seconds=0.2)
    for model in (MODEL, *OTHERS):
        await book.report(model, "paused", "j", 1)
    await workshop._owner.execute("UPDATE model_circuits SET until_us = 1")

    async def asked_in_vain() -> bool:
        return "not normal" in (await circuit(book)).reason and (await circuit(book)).openings > 1

    await eventually(asked_in_vain, 30, what="the provider is asked, and says no")
    assert not (await circuit(book)).available
    workshop.sandbox.turn(paused_models=[])
    await workshop._owner.execute("UPDATE model_circuits SET until_us = 1")

    async def back() -> bool:
        return all([(await circuit(book, model)).available for model in (MODEL, *OTHERS)])

    await eventually(back, 60, what="every model is back")
    assert await workshop.tasks() == [], "nothing was made, and nothing billed"
    assert "says that it is normal" in (await circuit(book)).reason
    (job,) = await workshop.order()
    assert await made_by(workshop, job) == [MODEL]


async def test_of_two_workers_one_lets_a_probe_through(workshop: WorkerFixture, book: CircuitBook) -> None:
    workers = [await workshop.worker(model_failures_max=1, model_rest_seconds=600) for _ in range(2)]
    spoil(workshop, MODEL, "task_transient", times=1)
    (first,) = await workshop.order()
    assert await made_by(workshop, first) == [MODEL, OTHERS[0]]
    spoil(workshop, MODEL, "never_finishes", times=1)
    await end_rest(workshop, *workers)
    jobs = await workshop.order(8)
    for job in jobs:
        await workshop.come_to(job, SubmissionIntended, 20)
    used = {job: await models(workshop, job) for job in jobs}
    (probe,) = [job for job in jobs if used[job] == [MODEL]]
    assert (await circuit(book)).probe_job == probe
    for job in set(jobs) - {probe}:
        assert await made_by(workshop, job) == [OTHERS[0]]
    await workshop.fail(probe)
    await workshop.audit()
