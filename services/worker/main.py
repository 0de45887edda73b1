"""`neurocards serve worker`: the process that makes the videos."""

import os
import secrets
import socket
from contextlib import AsyncExitStack
from functools import partial

from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from services.accounts.personal_data import PersonalData
from services.adapters.kie.gateway import Kie
from services.adapters.openai.models import EVERY_S, ModelEnds
from services.adapters.openai.prompt_writer import ScriptWriter
from services.generation.callback_urls import callback_url
from services.generation.catalogue import load_catalogue
from services.generation.circuit_breaker.store import CircuitBook, Circuits, rhythm
from services.generation.provider_limits import ProviderLimits, ProviderRates
from services.generation.wait_estimate import RenderTimes
from services.platform.ask_time import ask_time
from services.platform.blob_stores import open_blobs
from services.platform.primary_mark import PrimaryMark
from services.platform.process import Runtime
from services.platform.process_ledger import start_ledger
from services.platform.redis import blocking_client, command_client
from services.platform.settings import Settings
from services.streams.consumer.read import BLOCK_S
from services.worker.context import Checkpoint, Timing, WorkerContext, no_checkpoint
from services.worker.metrics import FALLBACK_SHARE_MAX
from services.worker.store import JobStore
from services.worker.worker import GRACE_S, Worker


async def serve(settings: Settings) -> None:
    """Work on jobs until stopped. Raises StartError when Postgres cannot be used."""
    async with Runtime(settings, "worker", grace_s=GRACE_S) as runtime, AsyncExitStack() as stack:
        opened = start_ledger(settings, runtime, ask=ask_time, mark=PrimaryMark)
        worker = await make_worker(settings, stack, *await stack.enter_async_context(opened))
        for name, check in worker.checks.items():
            runtime.health.check(name, check)
        runtime.health.tell({"worker": worker.status})
        ends = ModelEnds(settings)
        stack.push_async_callback(ends.close)
        worker.background["model_ends"] = (ends.measure, EVERY_S)
        FALLBACK_SHARE_MAX.set(settings.prompt_fallback_share_max)
        runtime.spawn(worker.run(runtime.stop), "worker")
        runtime.ready()
        await runtime.wait()


def provider_rates(settings: Settings) -> ProviderRates:
    return ProviderRates(
        creations=settings.kie_creations_per_10_s,
        in_flight_max=settings.user_in_flight_max,
        rest_s=settings.kie_rest_s,
    )


async def make_worker(
    settings: Settings,
    stack: AsyncExitStack,
    ledger: Ledger,
    pool: Pool,
    checkpoint: Checkpoint = no_checkpoint,
) -> Worker:
    """Build a worker, closed with `stack`. Raises StartError. `checkpoint` is awaited between the steps of
    every job, with the step's name."""
    _ = settings.callback_keys  # without one no job can be submitted
    redis, blocking = command_client(settings), blocking_client(settings, BLOCK_S)
    stack.push_async_callback(redis.aclose)
    stack.push_async_callback(blocking.aclose)
    blobs = open_blobs(settings)
    kie = await stack.enter_async_context(Kie(settings, blobs))
    writer = ScriptWriter(settings)
    stack.push_async_callback(writer.close)
    circuits = Circuits(CircuitBook(pool, rhythm(settings)))
    await circuits.refresh()  # before the first job: a model that is paused is not to be asked
    context = WorkerContext(
        worker=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
        store=JobStore(ledger, PersonalData(pool)),
        blobs=blobs,
        provider=kie,
        accounts=kie.accounts,
        limits=ProviderLimits(redis, provider_rates(settings)),
        writer=writer,
        catalogue=load_catalogue(),
        timing=Timing(
            poll_s=settings.kie_poll_s,
            retry_base_s=settings.retry_base_seconds,
            refund_life_s=settings.refund_life_seconds,
        ),
        callback_url=partial(callback_url, settings),
        checkpoint=checkpoint,
        circuits=circuits,
        render_times=RenderTimes(pool),
    )
    worker = Worker(context, redis, blocking, slots=settings.worker_slots, lease_s=settings.lease_seconds)
    worker.checks = {"redis": redis.ping}
    return worker
