"""One job, every way it can end."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from events.job import (
    Failure,
    JobFailed,
    JobSucceeded,
    RetryScheduled,
    SubmissionAccepted,
    SubmissionFailed,
    SubmissionIntended,
)
from ledger.jobs.state import JobState
from projections.reports.explain import explain
from services.generation.prompts.templates import template_name
from services.platform.blob_stores import open_blobs
from tests.support.worker_fixture import PRODUCT, WorkerFixture

SMOOTH = [
    "JobQueued", "JobStarted", "PromptWritten", "SubmissionIntended", "SubmissionAccepted", "JobSucceeded",
]  # fmt: skip

SOON_S = 15
"""A deadline that is waited for, and before which a busy machine comes to the call."""


async def failed(workshop: WorkerFixture, job: str, error_class: str) -> JobState:
    state = await workshop.ended(job)
    assert state.outcome == "failed" and state.failure is not None
    assert state.failure.error_class == error_class
    await workshop.audit()
    await workshop.nothing_pending()
    return state


async def test_a_video(workshop: WorkerFixture) -> None:
    await workshop.worker()
    (job,) = await workshop.order()
    state = await workshop.ended(job)
    assert state.outcome == "succeeded" and state.video is not None
    assert await workshop.types(job) == SMOOTH
    video = await open_blobs(workshop.settings).get(state.video.blob)
    assert video[4:8] == b"ftyp" and len(video) == state.video.size_bytes
    ((task,), last) = await workshop.tasks(), (await workshop.events(job))[-1]
    assert isinstance(last, JobSucceeded) and last.charged_milli == task["creditsConsumed"] * 1000 > 0
    prompt = await workshop.prompt(job)
    assert (prompt["source"], prompt["template"]) == ("openai", template_name("ugc"))
    await workshop.audit()
    await workshop.nothing_pending()


async def test_many_videos_of_one_order(workshop: WorkerFixture) -> None:
    await workshop.worker()
    jobs = await workshop.order(20)
    for job in jobs:
        assert (await workshop.ended(job)).outcome == "succeeded"
    assert len(await workshop.tasks()) == 20
    await workshop.audit()
    await workshop.nothing_pending()


REFUSALS = {
    "policy": "user_violation",
    "face": "user_violation",
    "google_policy": "user_violation",
    "no_balance": "provider_balance",
    "no_balance_500": "provider_balance",
    "task_no_balance": "provider_balance",
    "bad_key": "provider_auth",
    "validation": "our_fault",
    "success_without_url": "result_broken",
    "result_404": "result_broken",
    "result_not_video": "result_broken",
}


async def test_a_refusal_is_refunded_and_not_repeated(workshop: WorkerFixture) -> None:
    jobs = {fault: await workshop.order_with_fault(fault) for fault in REFUSALS}
    await workshop.worker()
    states = {fault: await workshop.ended(job) for fault, job in jobs.items()}
    found = {fault: state.failure.error_class for fault, state in states.items() if state.failure}
    assert found == REFUSALS
    assert {len(state.submissions) for state in states.values()} == {1}
    charged = {}
    for fault, job in jobs.items():
        events = await workshop.events(job)
        (charged[fault],) = [e.charged_milli for e in events if isinstance(e, SubmissionFailed)]
    cost = charged["result_404"]
    assert cost and charged["success_without_url"] == charged["result_not_video"] == cost, "ended well there"
    assert charged["policy"] == 0 and charged["validation"] is None, "told, and not told"
    await workshop.audit()
    await workshop.nothing_pending()


@pytest.mark.parametrize(
    ("http_statuses", "faults"),
    [
        (False, ["server_error", "maintenance", "rate_limited", "task_transient"]),
        # With a real HTTP 500 nobody would know whether the task exists.
        (True, ["maintenance", "rate_limited", "task_transient"]),
    ],
    ids=["http200", "http"],
)
async def test_passing_trouble_is_tried_again(
    workshop: WorkerFixture, http_statuses: bool, faults: list[str]
) -> None:
    workshop.sandbox.turn(http_statuses=http_statuses)
    jobs = [await workshop.order_with_fault(fault, times=2) for fault in faults]
    await workshop.worker()
    for job in jobs:
        state = await workshop.ended(job)
        assert state.outcome == "succeeded" and len(state.submissions) == 3
        types = await workshop.types(job)
        assert types.count("SubmissionFailed") == types.count("RetryScheduled") == 2
    await workshop.audit()


async def test_trouble_that_stays_ends_after_four_submissions(workshop: WorkerFixture) -> None:
    workshop.sandbox.fault("kie", "createTask", "task_transient", times=None)
    await workshop.worker()
    (job,) = await workshop.order()
    state = await failed(workshop, job, "transient")
    assert len(state.submissions) == 4


async def test_a_retry_never_comes_before_its_time(workshop: WorkerFixture) -> None:
    workshop.sandbox.fault("kie", "createTask", "maintenance", times=1)
    await workshop.worker(retry_base_seconds=1.0)
    (job,) = await workshop.order()
    await workshop.ended(job)
    recorded = await workshop.ledger.read.stream(f"job-{job}")
    events = dict(zip(await workshop.types(job), recorded, strict=True))  # the last of each type
    scheduled = next(e for e in await workshop.events(job) if isinstance(e, RetryScheduled))
    assert events["SubmissionIntended"].recorded_at_us >= scheduled.at_us


async def test_a_model_taken_out_of_the_catalogue(workshop: WorkerFixture) -> None:
    await workshop.worker()
    (sora, gone) = await workshop.order(model="sora-2-image-to-video") + await workshop.order(
        model="gone/away"
    )
    for job in (sora, gone):
        await workshop.ended(job)  # the audit is of both
    await failed(workshop, sora, "model_paused")
    await failed(workshop, gone, "model_paused")
    assert await workshop.tasks() == []


UNKNOWN = ["html_502", "truncated_json", "empty_body", "http_500", "drop_before"]


async def test_an_unknown_outcome_is_never_submitted_again(workshop: WorkerFixture) -> None:
    jobs = [
        await workshop.order_with_fault(fault, times=1, args={"accepted": False}, deadline_s=SOON_S)
        for fault in UNKNOWN
    ]
    await workshop.worker()
    for job in jobs:
        state = await workshop.ended(job)
        assert state.failure is not None
        assert (state.failure.error_class, state.failure.code) == ("timeout", "outcome_unknown")
        assert len(state.submissions) == 1
    assert await workshop.tasks() == []
    await workshop.audit()


async def test_a_task_found_later_is_taken_up(workshop: WorkerFixture) -> None:
    """The answer is lost after the task was made; the callback brings it back."""
    workshop.sandbox.fault("kie", "createTask", "drop_after_accept", times=1)
    await workshop.worker()
    (job,) = await workshop.order()
    await workshop.come_to(job, SubmissionIntended)
    (task,) = [task async for task in workshop.until_tasks(1)]
    await workshop.found(job, 1, task["taskId"])
    state = await workshop.ended(job)
    assert state.outcome == "succeeded" and len(state.submissions) == 1
    assert len(await workshop.tasks()) == 1
    await workshop.audit()


async def test_a_task_that_never_ends(workshop: WorkerFixture) -> None:
    workshop.sandbox.fault("kie", "createTask", "never_finishes")
    await workshop.worker()
    (job,) = await workshop.order(deadline_s=SOON_S)
    state = await failed(workshop, job, "timeout")
    assert state.failure is not None and state.failure.code == "no_result"


READS = ["server_error", "html_502", "truncated_json", "drop", "record_null", "rate_limited"]


async def test_looking_goes_on_through_trouble(workshop: WorkerFixture) -> None:
    jobs = [await workshop.order_with_fault(fault, call="recordInfo", times=3) for fault in READS]
    await workshop.worker()
    for job in jobs:
        state = await workshop.ended(job)
        assert state.outcome == "succeeded" and len(state.submissions) == 1
    await workshop.audit()


async def test_uploading_is_repeated_freely(workshop: WorkerFixture) -> None:
    for fault in ("html_502", "no_url", "drop"):
        workshop.sandbox.fault("kie", "upload", fault, times=1)
    await workshop.worker()
    (job,) = await workshop.order()
    state = await workshop.ended(job)
    assert state.outcome == "succeeded" and len(state.submissions) == 1


PLANTED = "Anna Petrova, +7 916 123-45-67, anna@example.com"
"""What a provider may know of a person, each shorter than anything a filter could look for."""


async def test_no_event_and_no_log_line_has_an_outside_word(workshop: WorkerFixture, pool: Any) -> None:
    words = {"msg": f"This photo shows {PLANTED}"}
    refused = [await workshop.order_with_fault(fault, args=words) for fault in ("policy", "validation")]
    refused.append(await workshop.order_with_fault("task_transient", args=words | {"code": PLANTED}))
    unseen = await workshop.order_with_fault("server_error", call="recordInfo", args=words, deadline_s=SOON_S)
    with capture_logs() as logs:
        await workshop.worker()
        states = [await workshop.ended(job) for job in [*refused, unseen]]
        paused = {"msg": f"temporarily paused for {PLANTED}"}
        assert (await workshop.ended(await workshop.order_with_fault("paused", args=paused))).submissions
    assert "Anna" not in repr(logs)
    for data in await pool.fetch("SELECT data::text || coalesce(key, '') FROM events"):
        for word in ("Anna", "Petrova", "+7 916", "123-45", "example.com"):
            assert word not in data[0]
    reasons = "SELECT reason FROM model_circuits UNION SELECT reason FROM model_changes"
    assert [row[0] for row in await pool.fetch(reasons)] == ["model_paused 500"]
    for state in states:
        assert state.failure is not None and PLANTED in await workshop.said(state.failure.ref)
    await workshop.audit()


async def test_the_words_of_a_failure_are_kept_beside_it(workshop: WorkerFixture, pool: Any) -> None:
    words = f"Your prompt about {PRODUCT} was flagged by Website as violating content policies."
    workshop.sandbox.fault("kie", "createTask", "policy", args={"msg": words})
    await workshop.worker()
    (job,) = await workshop.order()
    await failed(workshop, job, "user_violation")
    (task,) = await workshop.tasks()
    failures = [e.failure for e in await workshop.events(job) if isinstance(e, SubmissionFailed | JobFailed)]
    assert failures == [Failure("user_violation", "500", 1, task["taskId"], failures[0].ref)] * 2
    sentence, raw = (await workshop.said(failures[0].ref)).split("\n")
    assert sentence == words and "flagged by Website" in raw
    assert [step.ref for step in (await explain(pool, job)).steps if step.ref] == [failures[0].ref] * 2


async def test_what_was_heard_instead_of_an_answer_is_kept(workshop: WorkerFixture) -> None:
    workshop.sandbox.fault("kie", "createTask", "html_502", times=1)
    workshop.sandbox.fault("kie", "recordInfo", "truncated_json", times=None)
    await workshop.worker()
    (unknown,) = await workshop.order(deadline_s=SOON_S)
    await workshop.come_to(unknown, SubmissionIntended)
    (unseen,) = await workshop.order(deadline_s=SOON_S)
    for job, code, raw in ((unknown, "outcome_unknown", "Bad Gateway"), (unseen, "no_result", '{"code"')):
        state = await workshop.ended(job)
        assert state.failure is not None and state.failure.code == code
        assert raw in await workshop.said(state.failure.ref) and state.failure.attempt == 1
        assert bool(state.failure.task) == (job == unseen)
    await workshop.audit()


async def test_an_erased_text_ends_the_job(workshop: WorkerFixture) -> None:
    (job,) = await workshop.order(publish=False)
    await workshop.erase_texts()
    await workshop.publish()
    await workshop.worker()
    state = await failed(workshop, job, "unclassified")
    assert state.failure is not None and state.failure.code == "text_erased"
    assert await workshop.tasks() == []


async def test_no_callback_is_needed(workshop: WorkerFixture) -> None:
    """Nobody listens at the callback address in these tests at all."""
    workshop.sandbox.fault("kie", "createTask", "callback_never", times=None)
    await workshop.worker()
    (job,) = await workshop.order()
    assert (await workshop.ended(job)).outcome == "succeeded"
    assert any(isinstance(event, SubmissionAccepted) for event in await workshop.events(job))
