"""One worker's run of one job: load it, do the next step, append, go on.

The job's state is its events; what a run remembers beside them (which look at a task this is) may be lost at
any moment. Every step is safe to begin again by another run.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Literal

import structlog
from structlog.contextvars import bind_contextvars

from events.job import Failure
from ledger.commands import Command, HandBackJob, StartJob
from ledger.errors import KeyReusedError, RejectedError
from ledger.jobs.state import JobState
from ledger.log.batch import Receipt
from services.generation.photo_size import PhotoSize
from services.platform import tracing
from services.platform.periodic import obey_cancellation
from services.worker import next_step
from services.worker.context import WorkerContext
from services.worker.steps import handle_failure, poll_task, select_model, store_video, submit, write_prompt

logger = structlog.get_logger()

Ending = Literal["finished", "missing", "let_go"]

REJECTIONS_MAX = 20
UNREADABLE_LOOK_S = 15.0
CRITICAL_S = 8.0
"""How long a stop waits for a call whose outcome would else be unknown."""


class RepeatedRejectionError(Exception):
    """The ledger keeps refusing what the job's own state asks for: a contradiction, and a bug."""


class JobRun:
    """`state` is the job as last known; `run` is ours once started; `step` is the name of what it is at."""

    def __init__(self, tools: WorkerContext, job: str) -> None:
        self.tools = tools
        self.job = job
        self.run: int | None = None
        self._starting: int | None = None
        self.state = JobState()
        self.step = "Load"
        self.watched = poll_task.PollState()
        self.prompt_text: str | None = None
        self.trouble: Failure | None = None
        """What the provider last did instead of answering, scrubbed: told when the deadline ends the job."""
        self.photo_size: PhotoSize | None = None
        self.log = logger.bind(job=job)
        self.position = 0
        """Of the first event that this run has appended last."""
        self._hint = asyncio.Event()
        self._poked = False
        self._rejections = 0

    async def work(self) -> Ending:
        """Until the job has ended, or another run has it."""
        await self.reload()
        self.log = self.log.bind(account=self.state.account)
        bind_contextvars(account=self.state.account)
        while True:
            obey_cancellation()
            step = next_step.next_step(self.state, self.run, self.tools.clock.now_us())
            self.step = type(step).__name__
            match step:
                case next_step.Done():
                    await self.tools.limits.done(self.job, self.state.account)
                    await select_model.report_outcome(self)
                    return "finished"
                case next_step.Missing():
                    self.log.error("job_unknown_to_the_log")
                    return "missing"
                case next_step.LostLease():
                    self.log.info("job_taken_by_another_run", run=self.run, current=self.state.run)
                    return "let_go"
                case next_step.Start(run):
                    if not await self._start(run):
                        return "let_go"
                case _:
                    await self._do(step)

    async def _do(self, step: next_step.Step) -> None:
        match step:
            case next_step.Unreadable():
                self.log.error("job_unreadable", reason=self.state.broken)
                await self.pause(UNREADABLE_LOOK_S)
                await self.reload()
            case next_step.TimeOut(code):
                await self.fail(handle_failure.deadline_failure(code, self.trouble))
            case next_step.Poisoned():
                await self.fail(Failure("poison", "", "too many runs ended without a word"))
            case next_step.WritePrompt():
                await write_prompt.write_prompt(self)
            case next_step.WaitForRetry(until_us):
                await self.pause_until(until_us)
                await self.reload()
            case next_step.Submit(number):
                await submit.submit(self, number)
            case next_step.AwaitCallback():
                await self.pause(self.tools.timing.look_s)
                await self.reload()
            case next_step.DecideRetry(submission):
                await handle_failure.decide_retry(self, submission)
            case next_step.PollTask(submission):
                urls = await poll_task.watch(self, submission)
                if urls is not None:
                    await store_video.fetch(self, submission, urls)

    # What steps use

    async def append(self, command: Command, key: str) -> bool:
        """Write down what happened; whether the ledger took it. `state` is up to date afterwards."""
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
        self.state = predicted if predicted is not None else await self.tools.door.job(self.job)
        return True

    async def _appended(self, command: Command, key: str) -> Receipt:
        name = type(command).__name__
        call = {"db.system.name": "postgresql", "db.operation.name": "append"}
        with tracing.span(f"append {name}", "client", attributes=call) as span:
            receipt = await self.tools.door.append(command, key)
            span.set_attributes(tracing.ours(position=receipt.position, events=receipt.events))
        self.position = receipt.position or self.position
        return receipt

    async def reload(self) -> None:
        """See what others have written about the job."""
        self.state = await self.tools.door.job(self.job)

    async def fail(self, failure: Failure) -> None:
        """End the job without a video, with its refund."""
        await handle_failure.fail(self, failure)

    async def refuse(self, number: int, failure: Failure, retry_after_s: float | None = None) -> None:
        """The submission came to nothing: plan another, or end the job."""
        await handle_failure.submission_failed(self, number, failure, retry_after_s)

    async def pause(self, seconds: float) -> bool:
        """Sleep, or less when there is a hint; whether somebody asked us to look now."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._hint.wait()
        poked, self._poked = self._poked, False
        self._hint.clear()
        return poked

    async def pause_until(self, at_us: int) -> None:
        """Sleep until the ledger's time is `at_us`; hints do not hurry it."""
        with tracing.span("rest"):
            while (left_us := at_us - self.tools.clock.now_us()) > 0:
                await asyncio.sleep(min(left_us / 1_000_000, 30.0) + 0.001)

    def left_s(self) -> float:
        """Seconds to the deadline; may be negative."""
        queued = self.state.queued
        return (queued.deadline_at_us - self.tools.clock.now_us()) / 1_000_000 if queued else 0.0

    async def critical(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this to its end even if the run is cancelled meanwhile: half done, nobody knows its outcome."""
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

    # From outside

    def hint(self, *, poke: bool) -> None:
        """Something was written about the job; with `poke`, its task may have changed too."""
        self._poked = self._poked or poke
        self._hint.set()

    async def hand_back(self) -> None:
        """Say that this run ends in good order."""
        run = self.run or self._starting  # cancelled while it was starting, it may have begun all the same
        if run is not None:
            with contextlib.suppress(RejectedError, KeyReusedError):
                command = HandBackJob(self.job, run, self.tools.worker)
                await self.tools.door.append(command, f"handback:{self.job}:{run}")

    async def _start(self, run: int) -> bool:
        command = StartJob(self.job, run, self.tools.worker)
        self._starting = run
        if not await self.append(command, key=f"start:{self.job}:{run}"):
            return self.state.run < run  # else another was faster, and will see to the job
        self.run = run
        self.log = self.log.bind(run=run)
        bind_contextvars(run=run)
        self.log.info("job_started", position=self.position)
        await self.tools.checkpoint("started")
        return True
