"""Workers that are killed, frozen or told to stop in the middle of a job; another one finishes it."""

import asyncio
import os
import signal
from functools import partial

import pytest

from events.job import JobHandedBack, JobStarted, SubmissionAccepted, SubmissionFailed, SubmissionIntended
from ledger.commands import StartJob
from tests.support.fork_server import Child
from tests.support.self_killing_worker import self_killing_worker
from tests.support.waiting import PATIENCE_S, eventually
from tests.support.worker_fixture import WorkerFixture

NEVER_CALLED = "intended"
CALLED = "created"
MEANEST = ("prompt_kept", "accepted", "stored", CALLED, NEVER_CALLED)
"""Where something has happened outside that the log does not have yet, and between. `make chaos` has all."""


async def ended(process: Child, timeout_s: float = PATIENCE_S) -> int:
    """Its exit code, negative for a signal."""
    return await asyncio.to_thread(process.wait, timeout_s)


@pytest.mark.chaos
@pytest.mark.timeout(600)
async def test_a_worker_killed_at_the_meanest_points(workshop: WorkerFixture) -> None:
    """One worker after another dies, each at its point; then one finishes all their jobs."""
    jobs: dict[str, str] = {}
    for point in MEANEST:
        # With a long lease none of them takes over what the one before has left.
        process = self_killing_worker(point, workshop.process_settings(lease_seconds=300))
        (jobs[point],) = await workshop.order(deadline_s=30 if point == NEVER_CALLED else 300)
        assert await ended(process) == -signal.SIGKILL, point
    (unknown,) = [task for task in await workshop.tasks() if f"/{jobs[CALLED]}/" in task["callBackUrl"]]
    await workshop.found(jobs[CALLED], 1, unknown["taskId"])
    await workshop.worker()
    for point, job in jobs.items():
        state = await workshop.ended(job)
        if point == NEVER_CALLED:
            assert state.failure is not None and state.failure.code == "outcome_unknown"
        else:
            assert state.outcome == "succeeded", point
        assert len(state.submissions) == 1, point
        assert state.run == 2, point
    assert len(await workshop.tasks()) == len(MEANEST) - 1
    await workshop.audit()
    await workshop.nothing_pending()


async def test_a_prompt_is_written_once(workshop: WorkerFixture) -> None:
    process = self_killing_worker("prompt_kept", workshop.process_settings())
    (job,) = await workshop.order()
    await ended(process)
    kept = await workshop.prompt(job)
    workshop.sandbox.fault("openai", "chat", "quota", times=None)  # a second one would be a template
    await workshop.worker()
    assert (await workshop.ended(job)).outcome == "succeeded"
    assert await workshop.prompt(job) == kept and kept["source"] == "openai"


async def test_an_unknown_submission_without_a_callback_is_refunded(workshop: WorkerFixture) -> None:
    """The provider has made a task that nobody will ever hear of: paid once, refunded once."""
    process = self_killing_worker("created", workshop.process_settings())
    (job,) = await workshop.order(deadline_s=20)
    await ended(process)
    await workshop.worker()
    state = await workshop.ended(job)
    assert state.failure is not None and state.failure.code == "outcome_unknown"
    assert len(await workshop.tasks()) == 1
    await workshop.audit()


async def test_a_frozen_worker_that_wakes_up_changes_nothing(workshop: WorkerFixture) -> None:
    process = self_killing_worker("stored", workshop.process_settings(), signal.SIGSTOP)
    (job,) = await workshop.order()
    await workshop.come_to(job, SubmissionAccepted)
    await workshop.worker()
    state = await workshop.ended(job)
    assert state.outcome == "succeeded" and state.run == 2
    events = await workshop.types(job)
    os.kill(process.pid, signal.SIGCONT)
    (another,) = await workshop.order()  # it works again, or the other one does
    await workshop.ended(another)
    os.kill(process.pid, signal.SIGTERM)
    assert await ended(process) == 0
    assert await workshop.types(job) == events
    assert len(await workshop.tasks()) == 2
    await workshop.audit()
    await workshop.nothing_pending()


async def test_a_call_is_not_made_long_after_its_intent(workshop: WorkerFixture) -> None:
    async def freeze(point: str) -> None:
        if point == "intended":
            await asyncio.sleep(0.3)

    running = await workshop.worker(freeze)
    running.shorten(call_within_s=0.1)
    (job,) = await workshop.order()
    await eventually(lambda: workshop.has(job, "SubmissionFailed"))
    running.shorten(call_within_s=60.0)
    state = await workshop.ended(job)
    assert state.outcome == "succeeded" and len(await workshop.tasks()) == 1
    first = state.submissions[0].failure
    assert first is not None and first.code == "not_sent"
    await workshop.audit()


async def test_a_refusal_heard_after_the_job_was_lost_leads_to_a_retry_by_who_has_it(
    workshop: WorkerFixture,
) -> None:
    calling, lost = asyncio.Event(), asyncio.Event()

    async def lose(point: str) -> None:
        if point == "intended" and not lost.is_set():
            calling.set()
            await lost.wait()

    first = await workshop.worker(lose, lease_seconds=600)
    job = await workshop.order_with_fault("server_error", times=1)
    await asyncio.wait_for(calling.wait(), 60)
    await workshop.ledger.execute(StartJob(job, 2, "another worker"), key=f"start:{job}:2")
    lost.set()
    await workshop.come_to(job, SubmissionFailed)
    assert (await workshop.types(job))[-2:] == ["JobStarted", "SubmissionFailed"]  # and no decision
    await first.end()
    await workshop.worker()
    state = await workshop.ended(job)
    assert state.outcome == "succeeded" and len(state.submissions) == 2
    assert len(await workshop.tasks()) == 1
    await workshop.audit()
    await workshop.nothing_pending()


async def test_stopping_hands_back_at_once(workshop: WorkerFixture) -> None:
    """Neither the end of a lease nor that of a video would come while the test lasts."""
    workshop.sandbox.turn(render_seconds=600.0)
    leaving = await workshop.worker(lease_seconds=600)
    jobs = await workshop.order(5)
    for job in jobs:
        await workshop.come_to(job, SubmissionAccepted)
    await workshop.worker(lease_seconds=600)
    await asyncio.wait_for(leaving.end(), PATIENCE_S)
    for job in jobs:
        await eventually(partial(workshop.count, job, JobStarted, 2), what="run 2")
        assert JobHandedBack(1) in await workshop.events(job)
        assert (await workshop.job(job)).crashes == 0
    assert len(await workshop.tasks()) == 5


async def test_stopping_in_the_middle_of_a_call_finishes_it(workshop: WorkerFixture) -> None:
    workshop.sandbox.turn(latency_seconds=1.0)
    leaving = await workshop.worker()
    (job,) = await workshop.order()
    await workshop.come_to(job, SubmissionIntended)
    await leaving.end()
    types = await workshop.types(job)
    assert types[-2:] == ["SubmissionAccepted", "JobHandedBack"]
    workshop.sandbox.turn(latency_seconds=0.0)
    await workshop.worker()
    assert (await workshop.ended(job)).outcome == "succeeded"
    assert len(await workshop.tasks()) == 1
    await workshop.audit()


async def test_ten_rolling_restarts_are_not_poison(workshop: WorkerFixture) -> None:
    workshop.sandbox.fault("kie", "recordInfo", "server_error", times=None)  # nobody sees it done
    running = await workshop.worker(lease_seconds=600)
    (job,) = await workshop.order(deadline_s=300)
    await workshop.come_to(job, SubmissionAccepted)
    for run in range(2, 12):
        following = await workshop.worker(lease_seconds=600)
        await running.end()
        await eventually(partial(workshop.count, job, JobStarted, run), what=f"run {run}")
        running = following
    await workshop.sandbox.http.delete(f"{workshop.sandbox.url}/__sandbox/faults")
    state = await workshop.ended(job)
    assert state.outcome == "succeeded" and state.crashes == 0 and state.run == 11
    assert len(await workshop.tasks()) == 1
    await workshop.audit()


async def test_a_job_that_always_crashes_is_poison(workshop: WorkerFixture) -> None:
    async def crash(point: str) -> None:
        if point == "uploaded":
            raise RuntimeError("a bug, on purpose")

    await workshop.worker(crash, lease_seconds=0.5)
    (job,) = await workshop.order()
    state = await workshop.ended(job)
    assert state.failure is not None and state.failure.error_class == "poison"
    # The first run wrote the prompt, which is progress.
    assert state.run == 6 and await workshop.tasks() == []
    await workshop.audit()
    await workshop.nothing_pending()
