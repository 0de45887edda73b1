"""A model is paused, stumbles or is taken away by hand: another one takes over, or the seller is refunded."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from events.job import SubmissionIntended
from ledger.jobs.state import JobState
from services.generation.catalogue import Catalogue, load_catalogue
from services.generation.circuit_breaker.rules import Circuit
from services.generation.circuit_breaker.store import CircuitBook
from services.worker.context import WorkerContext
from tests.support.waiting import eventually
from tests.support.worker_fixture import RunningWorker, WorkerFixture

CATALOGUE = load_catalogue()
MODEL, *OTHERS = (model.slug for model in CATALOGUE.candidates(CATALOGUE.default))
WHY = ("ann", "ugly videos")


def tools_of(running: RunningWorker) -> WorkerContext:
    return running.worker._pool._context


def spoil(workshop: WorkerFixture, model: str, fault: str, times: int | None = None) -> None:
    workshop.sandbox.fault("kie", "createTask", fault, times=times, match={"model": model})


def without_alternatives() -> Catalogue:
    models = tuple(msgspec.structs.replace(model, alternatives=()) for model in CATALOGUE.models)
    return Catalogue(models, CATALOGUE.default_slug)


async def models(workshop: WorkerFixture, job: str) -> list[str]:
    """Whom the job was submitted to."""
    return [event.model for event in await workshop.events(job) if isinstance(event, SubmissionIntended)]


async def made_by(workshop: WorkerFixture, job: str) -> list[str]:
    """The same, of a job that came to a video."""
    state = await workshop.ended(job)
    assert state.outcome == "succeeded", state.failure
    return await models(workshop, job)


async def refused(workshop: WorkerFixture, job: str) -> JobState:
    state = await workshop.ended(job)
    assert state.failure is not None and state.failure.error_class == "model_paused"
    return state


async def circuit(book: CircuitBook, model: str = MODEL) -> Circuit:
    _, known = await book.read()
    return known.get(model) or Circuit(model)


@pytest.fixture
def book(pool: Any) -> CircuitBook:
    """What an operator has: any other process."""
    return CircuitBook(pool)


async def test_a_paused_model_is_replaced_at_once(workshop: WorkerFixture, book: CircuitBook) -> None:
    spoil(workshop, MODEL, "paused")
    await workshop.worker(model_rest_seconds=600)
    (job,) = await workshop.order()
    assert await made_by(workshop, job) == [MODEL, OTHERS[0]]
    found = await circuit(book)
    assert (found.state, found.set_by) == ("paused", "provider") and found.reason == "model_paused 500"
    (another,) = await workshop.order()
    assert await made_by(workshop, another) == [OTHERS[0]], "the paused one is not even asked"
    assert len(await workshop.tasks()) == 2
    await workshop.audit()


async def test_the_prompt_fits_whoever_takes_over(workshop: WorkerFixture) -> None:
    """The second alternative takes a thousand characters."""
    small = CATALOGUE.model(OTHERS[1])
    assert small is not None and small.prompt_chars_max == 1000
    for model in (MODEL, OTHERS[0]):
        spoil(workshop, model, "paused")
    await workshop.worker()
    wishes = "Pour the tea slowly, let the steam rise into the morning light, then turn the cup. " * 20
    (written,) = await workshop.order(wishes=wishes)
    workshop.sandbox.fault("openai", "*", "quota", times=None)
    (template, own) = await workshop.order(wishes=wishes) + await workshop.order(style="own", wishes=wishes)
    for job in (written, template, own):
        assert (await made_by(workshop, job))[-1] == small.slug
    prompts = [await sent_prompt(workshop, task["taskId"]) for task in await workshop.tasks()]
    assert len(prompts) == 3 and all(len(prompt) <= 1000 for prompt in prompts)
    for prompt in prompts:
        assert "watermark" in prompt.lower() or "captions" in prompt.lower(), "the rules are still in it"
    ordered = [(await workshop.prompt(job))["prompt"] for job in (written, template, own)]
    assert any(len(prompt) > 1000 for prompt in ordered), "and it was not short before"


async def sent_prompt(workshop: WorkerFixture, task: str) -> str:
    key = workshop.settings.kie_keys[0].get_secret_value()
    record = await workshop.sandbox.get("/kie/api/v1/jobs/recordInfo", key, taskId=task)
    return str(json.loads(record["data"]["param"])["input"]["prompt"])


async def test_when_every_model_is_paused_each_is_asked_once_and_the_seller_refunded(
    workshop: WorkerFixture,
) -> None:
    workshop.sandbox.fault("kie", "createTask", "paused", times=None)
    await workshop.worker(model_rest_seconds=600)
    (job,) = await workshop.order()
    await refused(workshop, job)
    assert await models(workshop, job) == [MODEL, *OTHERS]
    (another,) = await workshop.order()
    state = await refused(workshop, another)
    assert state.failure is not None and state.failure.code == "resting" and not state.submissions
    await workshop.audit()
    await workshop.nothing_pending()


async def test_a_running_worker_obeys_an_operator_within_seconds(
    workshop: WorkerFixture, book: CircuitBook
) -> None:
    await workshop.worker()
    (before,) = await workshop.order()
    assert await made_by(workshop, before) == [MODEL]
    await book.pause(MODEL, *WHY)

    async def ordered_from(model: str) -> bool:
        (job,) = await workshop.order()
        return await made_by(workshop, job) == [model]

    await eventually(lambda: ordered_from(OTHERS[0]), what="the pause is obeyed")
    assert await ordered_from(OTHERS[0]), "and goes on being"
    await book.resume(MODEL, *WHY)
    await eventually(lambda: ordered_from(MODEL), what="the resume is obeyed")
    changes = [(c.state, c.set_by, c.actor, c.reason) for c in await book.changes(MODEL)]
    assert changes == [("available", "operator", *WHY), ("paused", "operator", *WHY)]


async def test_a_pause_reaches_a_job_that_has_chosen_already(
    workshop: WorkerFixture, book: CircuitBook
) -> None:
    tools = tools_of(await workshop.worker())
    client: Any = tools.provider.client(tools.accounts[0])
    uploading, paused, upload = asyncio.Event(), asyncio.Event(), client.upload

    async def held(*args: Any) -> str:
        uploading.set()
        await paused.wait()
        return str(await upload(*args))

    client.upload = held
    (job,) = await workshop.order()
    await uploading.wait()
    await book.pause(MODEL, *WHY)
    await tools.circuits.refresh()
    paused.set()
    assert await made_by(workshop, job) == [OTHERS[0]]


async def test_a_model_that_fails_again_and_again_rests_and_comes_back_by_a_probe(
    workshop: WorkerFixture, book: CircuitBook
) -> None:
    spoil(workshop, MODEL, "task_transient", times=1)
    running = await workshop.worker(model_failures_max=1, model_rest_seconds=600)
    (job,) = await workshop.order()
    assert await made_by(workshop, job) == [MODEL, OTHERS[0]]
    failing = await circuit(book)
    assert (failing.state, failing.failed) == ("failing", (await workshop.account(),))
    (meanwhile,) = await workshop.order()
    assert await made_by(workshop, meanwhile) == [OTHERS[0]]
    await end_rest(workshop, running)
    (probe,) = await workshop.order()
    assert await made_by(workshop, probe) == [MODEL]

    async def well() -> bool:
        return (await circuit(book)).available

    await eventually(well, what="the probe's video ends it")
    await workshop.audit()


async def end_rest(workshop: WorkerFixture, *workers: RunningWorker) -> None:
    """The rest of every model is over."""
    now = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    await workshop._owner.execute(f"UPDATE model_circuits SET until_us = {now}")
    for running in workers:
        await tools_of(running).circuits.refresh()


async def test_a_failing_model_without_an_alternative_is_waited_for_and_tried(
    workshop: WorkerFixture, book: CircuitBook
) -> None:
    running = await workshop.worker(model_failures_max=1, model_rest_seconds=0.5)
    tools_of(running).catalogue = without_alternatives()
    spoil(workshop, MODEL, "task_transient", times=2)
    jobs = await workshop.order(3)
    for job in jobs:
        assert set(await made_by(workshop, job)) == {MODEL}
    states = [change.state for change in await book.changes(MODEL)]
    assert "failing" in states and states[0] == "available"
    await workshop.audit()


async def test_a_paused_model_without_an_alternative_is_not_waited_for(workshop: WorkerFixture) -> None:
    running = await workshop.worker(model_rest_seconds=600)
    tools_of(running).catalogue = without_alternatives()
    spoil(workshop, MODEL, "paused", times=1)
    (job,) = await workshop.order()
    assert len((await refused(workshop, job)).submissions) == 1
    (another,) = await workshop.order()
    assert (await refused(workshop, another)).submissions == ()
    await end_rest(workshop, running)
    (probe,) = await workshop.order()
    assert await made_by(workshop, probe) == [MODEL]


async def test_an_alternative_that_does_not_take_the_photo_is_left_out(workshop: WorkerFixture) -> None:
    """The photo is 600 by 800."""
    running = await workshop.worker(model_rest_seconds=600)
    choosy = msgspec.structs.replace(CATALOGUE.default.image, side_px_min=700)
    tools_of(running).catalogue = Catalogue(
        tuple(
            msgspec.structs.replace(model, image=choosy) if model.slug == OTHERS[0] else model
            for model in CATALOGUE.models
        ),
        MODEL,
    )
    spoil(workshop, MODEL, "paused")
    (job,) = await workshop.order()
    assert await made_by(workshop, job) == [MODEL, OTHERS[1]]
