"""A worker process's jobs in hand: one task each, and their stream entries."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars

from services.platform import tracing
from services.platform.redis_keys import JOBS
from services.streams.consumer.consumer import Consumer
from services.streams.consumer.held_entries import Fields
from services.streams.entries import GENERATION, StreamError, decode_job, position_of
from services.worker.context import WorkerContext
from services.worker.loop import Ending, work
from services.worker.metrics import JOBS_HELD, LEASES_LOST, RUNS_ENDED
from services.worker.run import JobRun

logger = structlog.get_logger()

HAND_BACK_S = 1.5


class ActiveJob:
    """One job in hand; several entries may bring it: its order, a task found, a wipe's repair."""

    def __init__(self, run: JobRun, entries: set[str]) -> None:
        self.run = run
        self.entries = entries
        self.lost = False
        self.taken_s = time.monotonic()
        self.task: asyncio.Task[None] | None = None


class JobPool:
    """Stream entry holder: works on jobs and reports how they ended. `wake` is called with the job of an
    entry that concerns a job in another process's hands."""

    def __init__(self, context: WorkerContext, slots: int, wake: Callable[[str], None]) -> None:
        self._context = context
        self._slots = slots
        self._wake = wake
        self._held: dict[str, ActiveJob] = {}
        self._by_entry: dict[str, str] = {}
        self._looking_up: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Event()
        self._room.set()
        self.consumer: Consumer | None = None

    # As the consumer's holder

    def free(self) -> int:
        return max(0, self._slots - len(self._held) - len(self._looking_up))

    async def wait_free(self) -> None:
        await self._room.wait()

    def take(self, entry: str, fields: Fields) -> bool:
        try:
            found = decode_job(entry, fields)
        except StreamError:
            return self._take_trimmed(entry)
        return self._take_job(entry, found.job, found.type)

    def lost(self, entry: str) -> None:
        LEASES_LOST.inc()
        held = self._held.get(self._by_entry.pop(entry, ""))
        if held is None:
            return
        held.entries.discard(entry)
        if not held.entries and held.task is not None:
            held.lost = True
            held.task.cancel()

    # From other processes

    def hint(self, job: str) -> None:
        if held := self._held.get(job):
            held.run.hint(poke=True)

    # Stopping

    def cancel_all(self) -> None:
        """Stop all runs in good order; those in the middle of a call finish it first."""
        for task in self._tasks():
            task.cancel()

    async def wait_ended(self, timeout_s: float) -> None:
        if tasks := self._tasks():
            await asyncio.wait(tasks, timeout=timeout_s)

    def status(self) -> dict[str, Any]:
        oldest_s = min((held.taken_s for held in self._held.values()), default=None)
        return {
            "slots": self._slots,
            "jobs": len(self._held),
            "jobs_by_step": dict(Counter(held.run.step for held in self._held.values())),
            "entries_looked_up": len(self._looking_up),
            "oldest_in_hand_s": None if oldest_s is None else round(time.monotonic() - oldest_s, 1),
        }

    def _tasks(self) -> list[asyncio.Task[None]]:
        working = [held.task for held in self._held.values() if held.task is not None]
        return [*working, *self._looking_up.values()]

    def __len__(self) -> int:
        return len(self._held)

    def _take_job(self, entry: str, job: str, kind: str) -> bool:
        held = self._held.get(job)
        if kind == "SubmissionAccepted":
            # Only news for whoever has the job; without one, the job's own entry brings it to somebody.
            if held is not None:
                held.run.hint(poke=False)
            else:
                self._wake(job)
            return False
        if held is None:
            held = ActiveJob(JobRun(self._context, job), set())
            self._held[job] = held
            held.task = asyncio.create_task(self._work(job, held), name=f"job-{job}")
        held.entries.add(entry)
        self._by_entry[entry] = job
        self._count()
        return True

    def _take_trimmed(self, entry: str) -> bool:
        if entry not in self._looking_up:
            self._looking_up[entry] = asyncio.create_task(self._look_up(entry), name=f"entry-{entry}")
            self._count()
        return True

    async def _look_up(self, entry: str) -> None:
        """Look up a lost entry's job: its ID is the event's position."""
        position = position_of(entry)
        try:
            found = await self._context.store.job_at(position) if position else None
        finally:
            self._looking_up.pop(entry, None)
            self._count()
        logger.warning("entry_was_trimmed", entry=entry, job=found[0] if found else None)
        if found is None or not self._take_job(entry, *found):
            self._tell_done([entry])

    async def _work(self, job: str, held: ActiveJob) -> None:
        bind_contextvars(job=job)  # in every line of this task, whoever writes it
        ending: Ending | None = None
        try:
            ending = await _traced(held)
            RUNS_ENDED.labels(ending).inc()
        except asyncio.CancelledError:
            RUNS_ENDED.labels("lease_lost" if held.lost else "handed_back").inc()
            await self._hand_back(held)
            raise
        except Exception:
            # The entry stays pending: after the lease another run tries; a job that always fails is poison.
            RUNS_ENDED.labels("crashed").inc()
            logger.exception("run_crashed")
        finally:
            self._remove(job, held, ending)

    async def _hand_back(self, held: ActiveJob) -> None:
        try:
            async with asyncio.timeout(HAND_BACK_S):
                await held.run.hand_back()
        except TimeoutError:
            logger.warning("not_handed_back")
        if self.consumer is not None and not held.lost:
            for entry in held.entries:
                self.consumer.release(entry)
            held.entries.clear()

    def _remove(self, job: str, held: ActiveJob, ending: Ending | None) -> None:
        self._held.pop(job, None)
        for entry in held.entries:
            self._by_entry.pop(entry, None)
        if ending in ("finished", "missing"):
            self._tell_done(held.entries)
        elif self.consumer is not None:
            for entry in held.entries:
                self.consumer.drop(entry)
        self._count()

    def _tell_done(self, entries: Iterable[str]) -> None:
        if self.consumer is not None:
            for entry in entries:
                self.consumer.done(entry)

    def _count(self) -> None:
        JOBS_HELD.set(len(self._held))
        if self.free() > 0:
            self._room.set()
        else:
            self._room.clear()


async def _traced(held: ActiveJob) -> Ending:
    """Run in the job's trace, linked to the entries behind it."""
    run = held.run
    message = {
        "messaging.system": "redis",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": JOBS,
        "messaging.consumer.group.name": GENERATION,
        "messaging.message.id": min(held.entries, default=""),
    }
    with tracing.span("process jobs", "consumer", job=run.job, attributes=message) as span:
        try:
            return await work(run)
        finally:
            state = run.state
            span.set_attributes(
                tracing.ours(account=state.account, run=run.run or 0, outcome=state.outcome or "")
            )
