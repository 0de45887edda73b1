"""The walk that follows what the rows say: feeds `Rules`, and looks up what those have forgotten."""

from contextlib import suppress
from itertools import takewhile
from typing import TYPE_CHECKING

import msgspec

from events.stream_names import ACCOUNT, JOB, PAYMENT
from ledger.sql import load_queries
from projections.verify.event_fields import Row
from projections.verify.findings import Findings
from projections.verify.hash_chain import Progress
from projections.verify.invariants import snapshots
from projections.verify.invariants.late_results import job_stream_of, judge, load_jobs, requeued
from projections.verify.invariants.log import Rules

if TYPE_CHECKING:
    from ledger.postgres import Connection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.postgres import Connection

query = load_queries("projections.verify")

PAGE = 1000
_AT_ONCE = 500


class OpenJob(msgspec.Struct, frozen=True):
    """A job that has not ended, as the log has it."""

    job: str
    account: str
    position: int
    deadline_at_us: int


class RulesWalk:
    """One walk from `after` to the head, in the caller's snapshot."""

    def __init__(self, connection: "Connection", findings: Findings, after: int, progress: Progress) -> None:
        self._connection = connection
        self._findings = findings
        self._after = after
        self._progress = progress
        self._loaded: set[str] = set()
        self.rules = Rules(findings, after=after)

    async def run(self) -> Rules:
        """All rows, then what can be said at the end only."""
        rules = self.rules
        if self._after:
            row = await self._connection.fetchrow(query("command_at"), self._after)
            if row is not None and row["recorded_at_us"] is not None:
                left = row["position"] + row["command_events"] - 1 - self._after
                rules.resume(max(left, 0), row["recorded_at_us"])
                await self._begun(row["position"])
        rules.snapshots = await snapshots.load(self._connection, self._findings)
        cursor = await self._connection.cursor(query("rules"), self._after)
        while rows := await cursor.fetch(PAGE):
            if self._after:
                await self._load(rows)
            rules.add(rows)
            if rules.late:
                await self._judge()
            self._progress("rules", rules.position)
        rules.finish()
        return rules

    async def _begun(self, first: int) -> None:
        """The walk may begin inside a command: it may have said before that a job is made again for free."""
        cursor = await self._connection.cursor(query("rules"), first - 1)
        for row in await cursor.fetch(self._after - first + 1):
            if row[3] == "JobRequeued":
                requeued(self.rules.jobs, row)

    def open_jobs(self) -> dict[str, OpenJob]:
        """The jobs that have not ended, by id."""
        return {
            stream[len(JOB) :]: OpenJob(stream[len(JOB) :], job.account, job.queued_at, job.deadline_at_us)
            for stream, job in self.rules.jobs.by_stream.items()
            if job.queued_at and not job.outcome
        }

    async def _judge(self) -> None:
        rules, late = self.rules, self.rules.late
        rules.late = []
        for begin in range(0, len(late), _AT_ONCE):
            some = late[begin : begin + _AT_ONCE]
            streams = [job_stream_of(row) for row in some]
            histories = await self._histories(streams, some[-1][0])
            for row, stream in zip(some, streams, strict=True):
                rules.jobs.spent += judge(self._findings, row, histories.get(stream, []))

    async def _histories(self, streams: list[str], up_to: int) -> dict[str, list[Row]]:
        """Job's stream → its rows, and its charges and refunds, in order."""
        jobs = [stream[len(JOB) :] for stream in streams]
        found: dict[str, list[Row]] = {}
        for row in await self._connection.fetch(query("histories"), streams, jobs, up_to):
            with suppress(msgspec.DecodeError):  # reported where the walk meets it
                found.setdefault(job_stream_of(row), []).append(row)
        return found

    async def _load(self, rows: list[Row]) -> None:
        """Bring to memory what the page goes on with and the walk has not seen the beginning of."""
        rules = self.rules
        known = self._loaded | rules.accounts.keys() | rules.jobs.by_stream.keys()
        known |= rules.payments.by_stream.keys()
        wanted = {row[1] for row in rows if row[2] > 1} - known
        if rules.position == self._after:  # the page may begin inside a command: its job was charged before
            wanted |= {row[1] for row in takewhile(lambda row: row[4] is None, rows)}
        self._loaded |= wanted
        if jobs := [stream for stream in wanted if stream.startswith(JOB)]:
            load_jobs(rules.jobs, await self._histories(jobs, self._after))
        if accounts := [stream for stream in wanted if stream.startswith(ACCOUNT)]:
            rules.load_accounts(await self._connection.fetch(query("histories"), accounts, [], self._after))
        if payments := [stream for stream in wanted if stream.startswith(PAYMENT)]:
            rules.load_payments(await self._connection.fetch(query("histories"), payments, [], self._after))


# Tables that are written with the log: unfinished jobs, and what guards it.


async def check_open_jobs(
    connection: "Connection", expected: dict[str, OpenJob], after: int, findings: Findings
) -> None:
    """The table has exactly the jobs that have not ended, of those queued after a position."""
    for row in await connection.fetch(query("open_jobs"), after):
        stored = OpenJob(*row)
        job = expected.pop(stored.job, None)
        if job is None:
            message = f"job {stored.job} is listed as unfinished, but it is not"
            findings.add("open_jobs", stored.position, message)
        elif job != stored:
            message = f"unfinished job {stored.job} is listed otherwise than it was queued"
            findings.add("open_jobs", job.position, message)
    for job in expected.values():
        if job.position > after:
            message = f"job {job.job} is unfinished, and neither monitor nor relay will see it"
            findings.add("open_jobs", job.position, message)


async def check_guards(connection: "Connection", findings: Findings) -> None:
    """The trigger and the unique indexes that protect the log are there and on."""
    for what, name in await connection.fetch(query("guards")):
        findings.add(
            "guard", None, f"{what} {name} is missing or off: rows can be changed or doubled unnoticed"
        )
