"""One worker's run of one job: its state, and appending what happened.

The job's state is its events; what a run remembers beside them (which look at a task this is) may be lost at
any moment. The steps are in loop.py.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import msgspec
import structlog
from structlog.contextvars import bind_contextvars

from ledger.commands import Command, HandBackJob, StartJob
from ledger.errors import KeyReusedError, RejectedError
from ledger.jobs.state import JobState
from ledger.log.batch import Receipt
from services.adapters.kie.failures import KieFailure
from services.platform import tracing
from services.worker import next_step
from services.worker.context import WorkerContext

logger = structlog.get_logger()

REJECTIONS_MAX = 20
CRITICAL_S = 8.0
"""How long a stop waits for a call whose outcome would else be unknown."""


class RepeatedRejectionError(Exception):
    """The ledger keeps refusing what the job's own state asks for: a contradiction, and a bug."""


class PollState(msgspec.Struct):
    """Polls of a task: how often, when last, when next at the earliest, since when it is unknown."""

    task: str = ""
    polls: int = 0
    polled_s: float = 0.0
    not_before_s: float = 0.0
    unknown_since_s: float | None = None
    odd: str = ""


class JobRun:
    """`state` is the job as last known; `run` is ours once started; `step` is the current step's name."""

    def __init__(self, context: WorkerContext, job: str) -> None:
        self.context = context
        self.job = job
        self.run: int | None = None
        self._starting: int | None = None
        self.state = JobState()
        self.step = "Load"
        self.polled = PollState()
        self.prompt_text: str | None = None
        self.trouble: KieFailure | None = None
        """What the provider last did instead of answering: kept when the deadline ends the job."""
        self.photo_size: tuple[int, int, int] | None = None
        """Bytes, and pixels as stored."""
        self.log = logger.bind(job=job)
        self.position = 0
        """Of the first event that this run has appended last."""
        self._hint = asyncio.Event()
        self._poked = False
        self._rejections = 0

    def needed_step(self) -> next_step.Step:
        return next_step.next_step(self.state, self.run, self.context.store.ledger.now_us())

    async def append(self, command: Command, key: str) -> bool:
        """Append to the ledger; whether it was accepted. `state` is up to date afterwards."""
        try:
            receipt = await self._appended(command, key)
        except (RejectedError, KeyReusedError) as error:
            self.log.info("command_rejected", command=type(command).__name__, reason=str(error))
            self._rejections += 1
            if self._rejections > REJECTIONS_MAX:
                raise RepeatedRejectionError(f"job {self.job}: {type(command).__name__}: {error}") from error
            await asyncio.sleep(0.02 * self._rejections)  # e.g. NotDueError: our clock is a moment ahead
            await self.reload()
            return False
        self._rejections = 0
        predicted = next_step.after(self.state, command, receipt)
        self.state = predicted if predicted is not None else await self.context.store.job(self.job)
        return True

    async def _appended(self, command: Command, key: str) -> Receipt:
        name = type(command).__name__
        call = {"db.system.name": "postgresql", "db.operation.name": "append"}
        with tracing.span(f"append {name}", "client", attributes=call) as span:
            receipt = await self.context.store.append(command, key)
            span.set_attributes(tracing.ours(position=receipt.position, events=receipt.events))
        self.position = receipt.position or self.position
        return receipt

    async def start(self, run: int) -> bool:
        """Take the job as this run; False when another run has it."""
        command = StartJob(self.job, run, self.context.worker)
        self._starting = run
        if not await self.append(command, key=f"start:{self.job}:{run}"):
            return self.state.run < run  # else another was faster, and will see to the job
        self.run = run
        self.log = self.log.bind(run=run)
        bind_contextvars(run=run)
        self.log.info("job_started", position=self.position)
        await self.context.checkpoint("started")
        return True

    async def hand_back(self) -> None:
        run = self.run or self._starting  # cancelled while it was starting, it may have begun all the same
        if run is not None:
            with contextlib.suppress(RejectedError, KeyReusedError):
                command = HandBackJob(self.job, run, self.context.worker)
                await self.context.store.append(command, f"handback:{self.job}:{run}")

    async def reload(self) -> None:
        self.state = await self.context.store.job(self.job)

    async def read_prompt(self) -> str | None:
        """The words of the recorded prompt; None when there is none, or they were erased."""
        if self.prompt_text is None and self.state.prompt is not None:
            written = await self.context.store.prompt(self.state.prompt.prompt)
            self.prompt_text = written.prompt if written is not None else None
        return self.prompt_text

    def hint(self, *, poke: bool) -> None:
        """Something was written about the job; with `poke`, its task may have changed too."""
        self._poked = self._poked or poke
        self._hint.set()

    async def pause(self, seconds: float) -> bool:
        """Sleep, or less when there is a hint; whether a poke ended it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._hint.wait()
        poked, self._poked = self._poked, False
        self._hint.clear()
        return poked

    async def pause_until(self, at_us: int) -> None:
        """Sleep until the ledger's time is `at_us`; hints do not hurry it."""
        with tracing.span("rest"):
            while (left_us := at_us - self.context.store.ledger.now_us()) > 0:
                await asyncio.sleep(min(left_us / 1_000_000, 30.0) + 0.001)

    def left_s(self) -> float:
        """Seconds to the deadline; may be negative."""
        queued = self.state.queued
        return (queued.deadline_at_us - self.context.store.ledger.now_us()) / 1_000_000 if queued else 0.0

    async def run_to_completion(self, work: Coroutine[Any, Any, None]) -> None:
        """Shield from cancellation: half done, the outcome would be unknown."""
        task = asyncio.create_task(work)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            done, _ = await asyncio.wait({task}, timeout=CRITICAL_S)
            if not done:
                self.log.error("call_abandoned")
            elif task.exception() is not None:
                self.log.error("call_failed", exc_info=task.exception())
            raise
