"""What cannot be finished is not begun."""

import pytest

from ledger.sql import load_queries
from services.generation.catalogue import load_catalogue
from services.generation.wait_estimate import MEASURED_MIN, Render, RenderTimes
from tests.support.worker_fixture import RunningWorker, WorkerFixture

query = load_queries("services.generation")

CATALOGUE = load_catalogue()
MODEL, *OTHERS = (model.slug for model in CATALOGUE.candidates(CATALOGUE.default))


def takes(running: RunningWorker, usual_s: float, **others_s: float) -> None:
    """So long the models take by what was measured: `usual_s`, or what is said of the one at its place."""
    times = RenderTimes()
    for number, slug in enumerate((MODEL, *OTHERS)):
        p95_s = others_s.get(f"m{number}", usual_s)
        times._measured[slug] = Render(p95_s / 2, p95_s)
    running.worker._pool._context.render_times = times


async def test_a_job_with_less_time_left_than_the_model_needs_is_refunded_at_once(
    workshop: WorkerFixture,
) -> None:
    running = await workshop.worker()
    takes(running, 600)
    (job,) = await workshop.order(deadline_s=300)
    state = await workshop.ended(job)
    assert state.failure is not None
    assert (state.failure.error_class, state.failure.code) == ("overloaded", "no_time_left")
    assert state.submissions == () and await workshop.tasks() == []
    await workshop.audit()
    await workshop.nothing_pending()


async def test_an_alternative_that_is_quick_enough_makes_it(workshop: WorkerFixture) -> None:
    running = await workshop.worker()
    takes(running, 600, m1=5)
    (job,) = await workshop.order(deadline_s=300)
    state = await workshop.ended(job)
    assert state.outcome == "succeeded"
    assert [submission.model for submission in state.submissions] == [OTHERS[0]]


async def test_enough_time_is_enough(workshop: WorkerFixture) -> None:
    running = await workshop.worker()
    takes(running, 200)
    (job,) = await workshop.order(deadline_s=300)
    assert (await workshop.ended(job)).outcome == "succeeded"


async def test_the_catalogues_guess_counts_where_jobs_have_that_much_time(
    workshop: WorkerFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of fifteen minutes that has only one left; nothing was measured yet."""
    (job,) = await workshop.order(deadline_s=900)
    running = await workshop.worker()
    clock = running.worker.ledger
    now_us = clock.now_us
    monkeypatch.setattr(clock, "now_us", lambda: now_us() + 840 * 1_000_000)
    state = await workshop.ended(job)
    assert state.failure is not None and state.failure.error_class == "overloaded"


async def test_render_times_are_measured_by_the_model_that_made_the_video(workshop: WorkerFixture) -> None:
    workshop.sandbox.fault("kie", "createTask", "paused", times=1, match={"model": MODEL})
    running = await workshop.worker(model_rest_seconds=600)
    times = running.worker._pool._context.render_times
    assert not times.of(CATALOGUE.default).measured
    jobs = await workshop.order(MEASURED_MIN + 1)
    for job in jobs:
        assert (await workshop.ended(job)).outcome == "succeeded"
    await times.measure()
    found = await workshop._pool.fetch(query("render_times"), 20_000, 500, 50)
    rows = [row for row in found if row["seconds"] is None]
    assert sum(row["videos"] for row in rows) == len(jobs)
    assert MODEL not in {row["model"] for row in rows if row["videos"] == len(jobs)}, "one went elsewhere"
    assert all(0.1 <= row["usual_s"] <= row["p95_s"] for row in rows)
    for row in rows:
        model = CATALOGUE.model(row["model"])
        assert model is not None and times.of(model).measured == (row["videos"] >= MEASURED_MIN)
