"""A job's next step, from its state alone: resuming equals starting. Pure."""

from collections.abc import Mapping

import msgspec

from events.stream_names import account_stream, job_stream
from ledger.accounts.state import AccountState
from ledger.commands import Command
from ledger.decider import State, decide, evolve
from ledger.errors import RejectedError
from ledger.jobs.state import JobState, Submission
from ledger.log.batch import Receipt
from services.worker.retry_policy import CRASHES_MAX, crashes


class Done(msgspec.Struct, frozen=True):
    """There is an outcome: acknowledge."""


class Missing(msgspec.Struct, frozen=True):
    """The log knows no such job."""


class Unreadable(msgspec.Struct, frozen=True):
    """An event cannot be read by this version: left to a newer one's worker, or the deadline will end it."""


class LostLease(msgspec.Struct, frozen=True):
    """Another run has started."""


class TimeOut(msgspec.Struct, frozen=True):
    """The deadline has passed: fail it. `code` says what it was waiting for."""

    code: str


class Poisoned(msgspec.Struct, frozen=True):
    """Too many runs ended without a word: fail it."""


class Start(msgspec.Struct, frozen=True):
    """Take it as this run."""

    run: int


class WritePrompt(msgspec.Struct, frozen=True):
    """There is no prompt yet."""


class WaitForRetry(msgspec.Struct, frozen=True):
    until_us: int


class Submit(msgspec.Struct, frozen=True):
    number: int


class AwaitCallback(msgspec.Struct, frozen=True):
    """The submission's outcome is unknown: never submit again, wait for its task to be found."""

    submission: Submission


class DecideRetry(msgspec.Struct, frozen=True):
    """A refusal was recorded by a run that had lost the job: decide what follows."""

    submission: Submission


class PollTask(msgspec.Struct, frozen=True):
    submission: Submission


Step = (
    Done
    | Missing
    | Unreadable
    | LostLease
    | TimeOut
    | Poisoned
    | Start
    | WritePrompt
    | WaitForRetry
    | Submit
    | AwaitCallback
    | DecideRetry
    | PollTask
)


def next_step(state: JobState, run: int | None, now_us: int) -> Step:
    """The next step for `run` (None: has not started yet) at the ledger's time."""
    if state.outcome:
        return Done()
    if not state.account:
        return Missing()
    if state.broken or state.queued is None:
        return Unreadable()
    if run is not None and (run != state.run or not state.run_open):
        return LostLease()
    if now_us >= state.queued.deadline_at_us:
        return TimeOut(_waited_for(state))
    if run is None:
        return Poisoned() if crashes(state) >= CRASHES_MAX else Start(state.run + 1)
    if state.prompt is None:
        return WritePrompt()
    live = state.live_submission
    if live is not None:
        return AwaitCallback(live) if live.task is None else PollTask(live)
    if state.undecided is not None:
        return DecideRetry(state.undecided)
    if state.retry_at_us is not None and now_us < state.retry_at_us:
        return WaitForRetry(state.retry_at_us)
    return Submit(len(state.submissions) + 1)


def _waited_for(state: JobState) -> str:
    live = state.live_submission
    if live is None:
        return "not_submitted"
    return "outcome_unknown" if live.task is None else "no_result"


def after(state: JobState, command: Command, receipt: Receipt) -> JobState | None:
    """The state after an accepted command, by the same decider; None: read the log.

    Spares a read per step. If others have written meanwhile this may miss it; whatever is decided on such a
    state is refused by the ledger, and then it is read.
    """
    if not hasattr(command, "job"):
        return None
    stream = job_stream(command.job)
    # What a refund books on the account is left out of the job's state: an empty account will do.
    view: Mapping[str, State] = {stream: state, account_stream(state.account): AccountState()}
    try:
        made = decide(view, command, receipt.recorded_at_us)
    except (RejectedError, KeyError):
        return None
    if not made or len(made) != receipt.events:
        return None
    folded: State = state
    for event_stream, event in made:
        if event_stream == stream:
            folded = evolve(folded, event)
    return folded if isinstance(folded, JobState) else None
