"""The step loop of a job; another run may repeat any step."""

from typing import Literal

from structlog.contextvars import bind_contextvars

from events.job import Failure
from services.platform.periodic import obey_cancellation
from services.worker import next_step
from services.worker.run import JobRun
from services.worker.steps.handle_failure import decide_retry, fail, fail_at_deadline
from services.worker.steps.poll_task import poll_task
from services.worker.steps.select_model import report_outcome
from services.worker.steps.store_video import store_video
from services.worker.steps.submit import submit
from services.worker.steps.write_prompt import write_prompt

Ending = Literal["finished", "missing", "let_go"]


async def work(run: JobRun) -> Ending:
    await run.reload()
    run.log = run.log.bind(account=run.state.account)
    bind_contextvars(account=run.state.account)
    while True:
        obey_cancellation()
        step = run.needed_step()
        run.step = type(step).__name__
        match step:
            case next_step.Done():
                await run.context.limits.done(run.job, run.state.account)
                await report_outcome(run)
                return "finished"
            case next_step.Missing():
                run.log.error("job_unknown_to_the_log")
                return "missing"
            case next_step.Unreadable():
                run.log.error("job_unreadable", reason=run.state.broken)
                await run.hand_back()
                return "let_go"
            case next_step.LostLease():
                run.log.info("job_taken_by_another_run", run=run.run, current=run.state.run)
                return "let_go"
            case next_step.Start(number):
                if not await run.start(number):
                    return "let_go"
            case _:
                await _do(run, step)


async def _do(run: JobRun, step: next_step.Step) -> None:
    match step:
        case next_step.TimeOut(code):
            await fail_at_deadline(run, code)
        case next_step.Poisoned():
            await fail(run, Failure("poison", "crashes"))
        case next_step.WritePrompt():
            await write_prompt(run)
        case next_step.WaitForRetry(until_us):
            await run.pause_until(until_us)
            await run.reload()
        case next_step.Submit(number):
            await submit(run, number)
        case next_step.AwaitCallback():
            await run.pause(run.context.timing.look_s)
            await run.reload()
        case next_step.DecideRetry(submission):
            await decide_retry(run, submission)
        case next_step.PollTask(submission):
            record = await poll_task(run, submission)
            if record is not None:
                await store_video(run, submission, record)
