"""An account's movements and jobs, read from the log: right at once."""

import msgspec

from events.account import CreditEvent, CreditsCharged
from events.codec import decode_data
from events.stream_names import account_stream
from ledger.jobs.state import JobState
from ledger.log.reader import LogReader
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.adapters.telegram.order_labels import LineState

query = load_queries("services.bot")

OPERATIONS_SHOWN = 8
JOBS_SHOWN = 5
_CHARGES_READ = 60
"""Enough for OPERATIONS_SHOWN lines even when each is an order of several videos."""


class Operation(msgspec.Struct, frozen=True):
    """One movement of credits as a person sees it: an order of several videos is one."""

    event: CreditEvent
    amount: int
    """Credits, above zero when they came in."""
    videos: int
    at_us: int


class ShownJob(msgspec.Struct, frozen=True):
    """One video as a person sees it: number `number` of `of` in its order."""

    state: LineState
    style: str
    number: int
    of: int
    at_us: int


class History:
    def __init__(self, pool: Pool, log: LogReader) -> None:
        self._pool = pool
        self._log = log

    async def operations(self, account: str) -> list[Operation]:
        """The last OPERATIONS_SHOWN movements, newest first; an order's charges are one."""
        stream = account_stream(account)
        rows = await self._pool.fetch(query("last_operations"), stream, _CHARGES_READ)
        found: list[Operation] = []
        for position, type_name, data, at_us in rows:
            event = decode_data(type_name, data, position)
            assert isinstance(event, CreditEvent)
            last = found[-1] if found else None
            if last is not None and _same_order(last.event, event):
                found[-1] = Operation(event, last.amount - event.amount, last.videos + 1, at_us)
            elif len(found) == OPERATIONS_SHOWN:
                break
            else:
                found.append(Operation(event, event.sign * event.amount, 1, at_us))
        return found

    async def job_names(self, account: str) -> list[str]:
        rows = await self._pool.fetch(query("last_jobs"), account_stream(account), JOBS_SHOWN)
        return [job for job, _ in rows]

    async def jobs(self, account: str) -> list[ShownJob]:
        rows = await self._pool.fetch(query("last_jobs"), account_stream(account), JOBS_SHOWN)
        shown = []
        for job, at_us in rows:
            state = await self._log.job(job)
            if state.queued is not None:
                queued = state.queued
                shown.append(ShownJob(line_state(state), queued.style, queued.number, queued.of, at_us))
        return shown


def line_state(job: JobState) -> LineState:
    if job.outcome == "succeeded":
        return "done"
    if job.outcome == "failed":
        return "gifted" if job.video is not None else "failed"
    if job.submissions:
        return "rendering"
    return "writing" if job.run else "queued"


def _same_order(one: CreditEvent, other: CreditEvent) -> bool:
    return isinstance(one, CreditsCharged) and isinstance(other, CreditsCharged) and one.order == other.order
