"""A retry waits in the ledger: nobody's death hurries or loses it, and it obeys the provider."""

import signal

from events.job import JobStarted, RetryScheduled, SubmissionIntended
from tests.integration.services.worker.test_dying import ended
from tests.support.self_killing_worker import self_killing_worker
from tests.support.worker_fixture import WorkerFixture

ASKED_S = 2
LONG_S = 20
"""Much longer than the lease: the next worker has the job before the retry is due."""


async def times(workshop: WorkerFixture, job: str, kind: type) -> list[int]:
    recorded = await workshop.ledger.read.stream(f"job-{job}")
    return [event.recorded_at_us for event in recorded if event.type == kind.__name__]


async def retry_at_us(workshop: WorkerFixture, job: str) -> int:
    (scheduled,) = [event for event in await workshop.events(job) if isinstance(event, RetryScheduled)]
    return scheduled.at_us


async def test_the_providers_wish_is_obeyed(workshop: WorkerFixture) -> None:
    workshop.sandbox.fault("kie", "createTask", "rate_limited", times=1, args={"retry_after": ASKED_S})
    await workshop.worker()
    (job,) = await workshop.order()
    assert (await workshop.ended(job)).outcome == "succeeded"
    first_us, second_us = await times(workshop, job, SubmissionIntended)
    at_us = await retry_at_us(workshop, job)
    assert first_us + ASKED_S * 1_000_000 <= at_us <= second_us
    await workshop.audit()


async def test_a_waiting_retry_survives_the_death_of_its_worker(workshop: WorkerFixture) -> None:
    """Killed at the beginning of the pause; whoever takes the job over waits on, and then submits once."""
    workshop.sandbox.fault("kie", "createTask", "rate_limited", times=1, args={"retry_after": LONG_S})
    process = self_killing_worker("refused", workshop.process_settings())
    (job,) = await workshop.order()
    assert await ended(process) == -signal.SIGKILL
    await workshop.worker()
    state = await workshop.ended(job)
    assert state.outcome == "succeeded" and state.run == 2 and state.crashes == 0
    at_us = await retry_at_us(workshop, job)
    _, taken_over_us = await times(workshop, job, JobStarted)
    _, submitted_us = await times(workshop, job, SubmissionIntended)
    assert taken_over_us < at_us <= submitted_us
    assert len(await workshop.tasks()) == 1
    await workshop.audit()
    await workshop.nothing_pending()
