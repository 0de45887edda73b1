"""Jobs are measured as they go from state to state: each event once, whoever applies it."""

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest
from prometheus_client import REGISTRY

from services.notifier import state_metrics
from services.notifier.deliveries import PendingGauge
from tests.integration.services.notifier.conftest import NewNotifier
from tests.support.order_fixture import OrderFixture

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


class Meter:
    """What the registry has counted since this was made."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self._remember("neurocards_job_crashes_total")
        for state in ("queued", "writing", "submitting", "rendering"):
            self._remember("neurocards_job_state_seconds_count", state=state)
        for outcome in ("succeeded", "failed"):
            self._remember("neurocards_job_seconds_count", outcome=outcome)
            self._remember("neurocards_job_submissions_sum", outcome=outcome)
        self._remember("neurocards_jobs_ended_total", outcome="succeeded", error_class="")
        self._remember("neurocards_jobs_ended_total", outcome="failed", error_class="our_fault")

    def since(self, name: str, **labels: str) -> float:
        return _value(name, labels) - self._before[name, tuple(sorted(labels.items()))]

    def _remember(self, name: str, **labels: str) -> None:
        self._before[name, tuple(sorted(labels.items()))] = _value(name, labels)


def _value(name: str, labels: dict[str, str]) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_every_stay_and_end_is_measured(studio: OrderFixture, new_notifier: NewNotifier) -> None:
    meter = Meter()
    order = await studio.order(await studio.seller(), 2)
    await studio.finish(order.jobs[0])
    await studio.fail(order, order.jobs[1], "our_fault")
    await new_notifier().follow()
    stays = {
        state: meter.since("neurocards_job_state_seconds_count", state=state)
        for state in ("queued", "writing", "submitting", "rendering")
    }
    assert stays == {"queued": 2, "writing": 1, "submitting": 1, "rendering": 1}
    assert meter.since("neurocards_jobs_ended_total", outcome="succeeded", error_class="") == 1
    assert meter.since("neurocards_jobs_ended_total", outcome="failed", error_class="our_fault") == 1
    assert meter.since("neurocards_job_seconds_count", outcome="succeeded") == 1
    assert meter.since("neurocards_job_submissions_sum", outcome="succeeded") == 1
    assert meter.since("neurocards_job_submissions_sum", outcome="failed") == 0


async def test_a_notifier_that_starts_in_the_middle_measures_the_whole_stay(
    studio: OrderFixture, new_notifier: NewNotifier
) -> None:
    meter = Meter()
    (job,) = (await studio.order(await studio.seller())).jobs
    await studio.start(job)
    await new_notifier().follow()
    assert meter.since("neurocards_job_state_seconds_count", state="queued") == 1
    sum_before = _value("neurocards_job_state_seconds_sum", {"state": "writing"})
    await asyncio.sleep(0.2)  # the time that is measured
    await studio.submit(job, task="t")
    await studio.succeed(job)
    await new_notifier().follow()  # knows nothing of the job's beginning
    assert meter.since("neurocards_job_state_seconds_count", state="queued") == 1
    assert meter.since("neurocards_job_state_seconds_count", state="writing") == 1
    assert _value("neurocards_job_state_seconds_sum", {"state": "writing"}) - sum_before >= 0.2
    assert meter.since("neurocards_job_submissions_sum", outcome="succeeded") == 1


async def test_two_notifiers_measure_each_event_once(
    studio: OrderFixture, new_notifier: NewNotifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take turns, so each knows only parts of every job; and neither can remember more than two."""
    monkeypatch.setattr(state_metrics, "JOBS_MAX", 2)
    meter = Meter()
    one, other = new_notifier(), new_notifier()
    order = await studio.order(await studio.seller(), 5)

    async def both() -> None:
        await asyncio.gather(one.follower.run_once(), other.follower.run_once())

    await both()
    for job in order.jobs:
        await studio.start(job)
        await both()
    for job in order.jobs:
        await studio.submit(job, task=f"task-{job}")
        await other.follow()
    for job in order.jobs:
        await studio.succeed(job)
        await one.follow()
    await both()
    for state in ("queued", "writing", "submitting", "rendering"):
        assert meter.since("neurocards_job_state_seconds_count", state=state) == 5, state
    assert meter.since("neurocards_jobs_ended_total", outcome="succeeded", error_class="") == 5
    assert meter.since("neurocards_job_submissions_sum", outcome="succeeded") == 5
    assert meter.since("neurocards_job_crashes_total") == 0


async def test_the_backlog_is_what_is_not_settled(
    studio: OrderFixture, new_notifier: NewNotifier, pool: "Pool"
) -> None:
    backlog = PendingGauge(pool)
    await backlog.run_once()
    assert backlog.pending == 0
    order = await studio.order(await studio.seller(), 3)
    await studio.finish_all(order.jobs)
    notifier = new_notifier()
    await notifier.follow()
    await backlog.run_once()
    assert backlog.pending == 3
    assert _value("neurocards_deliveries_pending", {}) == 3
    assert _value("neurocards_deliveries_oldest_pending_timestamp_seconds", {}) > 1_000_000_000
    await notifier.send()
    await backlog.run_once()
    assert backlog.pending == 0
    assert _value("neurocards_deliveries_oldest_pending_timestamp_seconds", {}) == 0
