"""A submission: upload the photo, record the intent, call, record the outcome.

The call cannot be repeated safely (the provider has no idempotency key), so the intent is recorded first;
after that only three things are known: a task, a refusal, or nothing. Nothing means: never submit again, wait
for the task to be found (next_step.AwaitCallback), and refund at the deadline.
"""

import asyncio
import random
import secrets
import time

import msgspec

from events.job import Failure
from ledger.commands import IntendSubmission, RecordAccepted
from services.adapters.kie.errors import (
    KieError,
    KieNoAnswerError,
    KieNotSentError,
    KieRefusedError,
    OutcomeUnknownError,
)
from services.adapters.kie.failures import KieFailure
from services.adapters.kie.gateway import KieClient
from services.generation.catalogue import Model
from services.generation.error_classes import policy_for
from services.generation.provider_limits import Turn
from services.platform.blobs import BlobError
from services.platform.metrics import LIMITER_WAIT
from services.platform.tracing import traced
from services.worker.metrics import SUBMISSIONS
from services.worker.retry_policy import jitter_s
from services.worker.run import JobRun
from services.worker.steps.handle_failure import ERASED, fail, keep_words, submission_failed
from services.worker.steps.select_model import report_accepted, select_model, still_selected
from services.worker.steps.write_prompt import prompt_for

UPLOADS_MAX = 4
TURN_LOOK_S = 2.0
NO_ACCOUNT = Failure("provider_balance", "resting")
"""Every provider account has trouble and rests."""


class Ready(msgspec.Struct, frozen=True):
    account: str
    client: KieClient
    model: Model
    prompt: str
    image_url: str


@traced("submit")
async def submit(run: JobRun, number: int) -> None:
    ready = await _prepare(run)
    if ready is not None:
        await run.context.checkpoint("uploaded")
        # Once the intent stands, stopping half-way would leave the outcome unknown.
        await run.run_to_completion(_call(run, number, ready))


async def _prepare(run: JobRun) -> Ready | None:
    context, queued = run.context, run.state.queued
    assert queued is not None
    model = await select_model(run)
    if isinstance(model, Failure):
        await fail(run, model)
        return None
    if model is None:
        await run.pause(context.timing.look_s * random.uniform(0.8, 1.0))
        await run.reload()
        return None
    text = await prompt_for(run, model)
    run.prompt_text = None  # a retry reads it again: it may have been erased by then
    if text is None:
        await fail(run, ERASED)
    else:
        turn = await _turn(run, model)
        if turn is None:
            return None
        client = context.provider.client(turn.account)
        assert client is not None, f"account {turn.account} is not configured"
        image_url = await _upload(run, client, queued.photo)
        if image_url is not None and await still_selected(run, model):
            return Ready(turn.account, client, model, text, image_url)
        # An operator has paused it meanwhile, or others saw its trouble: the turn is not used.
        await context.limits.done(run.job, run.state.account)
    return None


async def _turn(run: JobRun, model: Model) -> Turn | None:
    """Our turn to create, with an account; None when there is something else to do by now."""
    began_s = time.monotonic()
    context, step = run.context, run.needed_step()
    while True:
        turn = await context.limits.turn(run.job, run.state.account, context.accounts)
        if turn.account:
            LIMITER_WAIT.labels("turn").observe(time.monotonic() - began_s)
            return turn
        if turn.resting and turn.wait_s >= run.left_s():
            await fail(run, NO_ACCOUNT)
            return None
        await asyncio.sleep(min(turn.wait_s, TURN_LOOK_S) * random.uniform(0.9, 1.1))
        await run.reload()  # the monitor or an operator may have decided meanwhile
        if run.needed_step() != step:
            return None
        if not await still_selected(run, model):
            return None


async def _upload(run: JobRun, client: KieClient, photo: str) -> str | None:
    """The photo's URL at the provider; None when the job was failed for it. Uploads are free to repeat."""
    for tries in range(1, UPLOADS_MAX + 1):
        try:
            async with run.context.uploads:
                data = await run.context.blobs.get(photo)
                # A name never used before: the same one would overwrite, and caches keep the old picture.
                return await client.upload(data, f"{run.job}-{secrets.token_hex(6)}.jpg")
        except BlobError as error:
            run.log.error("photo_missing", photo=photo, error=str(error))
            await fail(run, Failure("our_fault", "photo_missing"))
            return None
        except (KieError, OSError) as error:
            failure = _upload_failure(error)
            run.log.warning("upload_failed", tries=tries, error_class=failure.error_class, code=failure.code)
            passing = isinstance(error, KieNoAnswerError | OSError) or policy_for(failure.error_class).retries
            asked_s = (error.retry_after_s if isinstance(error, KieError) else None) or 0.0
            pause_s = asked_s + jitter_s(tries, run.context.timing.retry_base_s, 30.0, random.random())
            if not passing or tries == UPLOADS_MAX or pause_s >= run.left_s():
                await fail(run, await keep_words(run, failure, len(run.state.submissions) + 1))
                return None
            await asyncio.sleep(pause_s)
    return None


def _upload_failure(error: KieError | OSError) -> KieFailure:
    return error.failure if isinstance(error, KieError) else KieFailure("transient", "storage")


async def _call(run: JobRun, number: int, ready: Ready) -> None:
    context = run.context
    assert run.run is not None
    started_s = time.monotonic()
    intend = IntendSubmission(run.job, run.run, number, ready.account, ready.model.slug)
    if not await run.append(intend, key=f"intend:{run.job}:{number}"):
        return
    await context.checkpoint("intended")
    queued = run.state.queued
    assert queued is not None
    fields = ready.model.task_input(ready.prompt, ready.image_url, queued.format, queued.seconds)
    try:
        if time.monotonic() - started_s > context.timing.call_within_s:
            # Frozen, or Postgres was slow: by now others may have counted this intent in. Do not call.
            raise KieNotSentError(KieFailure("transient", "not_sent", "too long after the intent"))
        task = await ready.client.create_task(ready.model.slug, fields, context.callback_url(run.job, number))
    except (KieRefusedError, KieNotSentError) as error:
        await submission_failed(run, number, error.failure, error.retry_after_s)
    except OutcomeUnknownError as error:
        SUBMISSIONS.labels("unknown").inc()
        run.trouble = said = error.failure
        run.log.error(
            "submission_outcome_unknown", submission=number, error_class=said.error_class, code=said.code
        )
        await context.checkpoint("unknown")
    else:
        await context.checkpoint("created")
        SUBMISSIONS.labels("accepted").inc()
        await context.limits.wake(ready.account)
        run.log.info("task_created", submission=number, task=task, provider_account=ready.account)
        command = RecordAccepted(run.job, number, task)
        if await run.append(command, key=f"accept:{run.job}:{number}:{task}"):
            run.log.info("submission_accepted", submission=number, task=task, position=run.position)
        await report_accepted(run, number, ready.model.slug)
        await context.checkpoint("accepted")
