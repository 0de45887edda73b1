"""Log walk: feeds `Rules`, and looks up what those have forgotten."""

from itertools import takewhile

from events.stream_names import ACCOUNT, JOB, PAYMENT
from ledger.postgres import Connection
from ledger.sql import load_queries
from projections.verify.event_fields import READ, Row
from projections.verify.findings import Findings
from projections.verify.hash_chain import Progress
from projections.verify.invariants.jobs import job_stream_of, judge, load_jobs
from projections.verify.invariants.log import Rules
from projections.verify.stored_state import OpenJob, snapshots

query = load_queries("projections.verify")

PAGE = 1000
_AT_ONCE = 500


class RulesWalk:
    def __init__(self, connection: Connection, findings: Findings, after: int, progress: Progress) -> None:
        self._connection = connection
        self._findings = findings
        self._after = after
        self._progress = progress
        self._loaded: set[str] = set()
        self.rules = Rules(findings, after=after)

    async def run(self) -> Rules:
        rules = self.rules
        if self._after:
            row = await self._connection.fetchrow(query("command_at"), self._after)
            if row is not None and row["recorded_at_us"] is not None:
                left = row["position"] + row["command_events"] - 1 - self._after
                rules.resume(max(left, 0), row["recorded_at_us"])
                await self._begun(row["position"])
        rules.snapshots = await snapshots(self._connection, self._findings)
        decided = await self._connection.fetch(query("decision_times"), self._after)
        rules.decided_us = {position: decided_us for position, decided_us in decided}
        cursor = await self._connection.cursor(query("rules"), self._after, READ)
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
        """The walk may begin inside a command that allowed a free job."""
        cursor = await self._connection.cursor(query("rules"), first - 1, READ)
        for row in await cursor.fetch(self._after - first + 1):
            if row[3] == "JobRequeued":
                self.rules.jobs.requeued(row)

    def open_jobs(self) -> dict[str, OpenJob]:
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
        """Job's stream → its rows, charges and refunds, in order."""
        jobs = [stream[len(JOB) :] for stream in streams]
        found: dict[str, list[Row]] = {}
        for row in await self._connection.fetch(query("histories"), streams, jobs, up_to):
            found.setdefault(job_stream_of(row), []).append(row)
        return found

    async def _load(self, rows: list[Row]) -> None:
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
