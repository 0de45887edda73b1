"""The worker process: consuming, reclaiming, listening, graceful stop."""

import asyncio
import contextlib
import random
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.adapters.kie.errors import KieError
from services.generation.catalogue import Model
from services.generation.circuit_breaker.store import READ_EVERY_S
from services.generation.wait_estimate import MEASURE_EVERY_S
from services.platform.backoff import backoff_s
from services.platform.health import Check
from services.platform.ids import new_id
from services.platform.outage_log import REDIS
from services.platform.periodic import end_tasks, repeat
from services.platform.redis_keys import JOBS
from services.streams import wake
from services.streams.consumer.consumer import Consumer
from services.streams.entries import GENERATION
from services.worker.context import WorkerContext
from services.worker.job_pool import HAND_BACK_S, JobPool
from services.worker.run import CRITICAL_S

logger = structlog.get_logger()

FIRST_WAVE_S = 0.7
STOP_S = CRITICAL_S + HAND_BACK_S
LEAVE_S = 1.0
ASK_EVERY_S = 1.5
"""The provider takes one such question in a second."""
GRACE_S = STOP_S + 2 * LEAVE_S + 1.0
"""Whoever cancels `run` waits so long after its stop, or jobs in the middle of a call are not handed back."""


class Worker:
    """Works until told to stop. `redis` for commands, `blocking` for the blocking read alone."""

    def __init__(
        self, context: WorkerContext, redis: Redis, blocking: Redis, *, slots: int, lease_s: float
    ) -> None:
        self.ledger = context.store.ledger
        self._redis = redis
        self._waker = wake.Waker(redis)
        self._pool = JobPool(context, slots, self._waker.hint)
        self.background = {
            "circuits": (context.circuits.refresh, READ_EVERY_S),
            "render_times": (context.render_times.measure, MEASURE_EVERY_S),
            "probe": (ModelProbe(context).run_once, READ_EVERY_S),
        }
        """What is done beside the jobs, and every how many seconds; see `repeat`."""
        self._consumer = Consumer(redis, blocking, self._pool, stream=JOBS, group=GENERATION, lease_s=lease_s)
        self._pool.consumer = self._consumer
        self.checks: dict[str, Check] = {}

    def status(self) -> dict[str, Any]:
        return self._pool.status() | self._consumer.status()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then hand back what is in hand; that takes seconds at most."""
        if not await self._begin(stop):
            return
        reading = [
            asyncio.create_task(self._consumer.read(), name="read"),
            asyncio.create_task(self._consumer.reclaim(), name="reclaim"),
        ]
        keeping = [
            asyncio.create_task(self._consumer.keep(), name="keep"),
            *(
                asyncio.create_task(repeat(run_once, asyncio.Event(), name, idle_s=every_s), name=name)
                for name, (run_once, every_s) in self.background.items()
            ),
            asyncio.create_task(
                repeat(self._waker.send, asyncio.Event(), "hints", idle_s=wake.IDLE_S, wake=self._waker.wake),
                name="hints",
            ),
            asyncio.create_task(
                wake.listen(self._redis, self._pool.hint, self._consumer.reclaim_soon), name="wake"
            ),
        ]
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([stopping, *reading, *keeping], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()  # none of them ends by itself: raises its error
        finally:
            stopping.cancel()
            await end_tasks(reading)
            await self._cancel_all()
            await end_tasks(keeping)
            await self._leave()

    async def _begin(self, stop: asyncio.Event) -> bool:
        failures = 0
        while not stop.is_set():
            try:
                await self._consumer.start()
            except (RedisError, OSError) as error:
                failures += 1
                REDIS.met(error, "seat")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(backoff_s(failures, 0.2, 5.0)):
                        await stop.wait()
            else:
                REDIS.over("seat")
                return True
        return False

    async def _cancel_all(self) -> None:
        """Most runs wait for something and end at once; those in the middle of a call get a few seconds."""
        if not len(self._pool):
            return
        logger.info("handing_back", jobs=len(self._pool))
        self._pool.cancel_all()
        began_s = asyncio.get_running_loop().time()
        await self._pool.wait_ended(FIRST_WAVE_S)
        with contextlib.suppress(TimeoutError):  # without the hint they look by themselves
            async with asyncio.timeout(LEAVE_S):
                await wake.wake_reclaimers(self._redis)
        await self._pool.wait_ended(began_s + STOP_S - asyncio.get_running_loop().time())

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._consumer.leave()
                await wake.wake_reclaimers(self._redis)
        except (RedisError, OSError, TimeoutError) as error:
            logger.warning("seat_not_left", error=repr(error))  # the lease will see to it


class ModelProbe:
    """Asks the provider whether a resting model is well, without a job. Costs nothing, and no seller is
    charged (docs/decisions/model-probe.md). One worker asks for all."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context

    async def run_once(self) -> int:
        for model in self._context.catalogue.models:
            await self._look(model)
        return 0

    async def _look(self, model: Model) -> None:
        circuits = self._context.circuits
        others = any(circuits.of(other.slug).available for other in self._context.catalogue.candidates(model))
        if not model.enabled or (others and not circuits.neglected(model.slug)):
            return
        if not await circuits.claim_probe(model.slug, f"asked:{new_id()}"):
            return
        client, well = self._context.provider.client(random.choice(self._context.accounts)), None
        try:
            well = await client.is_normal(model.slug) if client is not None else None
        except KieError as error:
            logger.warning("model_status_not_read", model=model.slug, error=str(error))
            if error.failure.error_class == "rate_limited":
                return  # somebody asks when the time of this probe is over
        await circuits.answer(model.slug, well)
        await asyncio.sleep(ASK_EVERY_S)
