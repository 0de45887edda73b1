"""Checks the whole ledger against itself: log, unfinished jobs, read models. One walk, one snapshot.

    problems = await check_ledger(pool)     # [] means that everything holds

Keeps every account and job in memory.
"""

from typing import TYPE_CHECKING, Any

import asyncpg

from events.envelope import Cursor, Recorded
from events.errors import CodecError
from projections.audit import LogAudit
from projections.catalogue import PROJECTIONS
from projections.errors import ProjectionError
from projections.problems import Findings, Problem
from projections.projection import AnyProjection
from projections.sql import query
from projections.tables import Table

if TYPE_CHECKING:
    from projections.tables import Connection

    Pool = asyncpg.Pool[asyncpg.Record]

_PREFETCH = 2000
_KEYS_SHOWN = 5


async def check_ledger(pool: "Pool") -> list[Problem]:
    """What is wrong, up to PROBLEMS_MAX: positions, chain, versions, credits, outcomes, read models."""
    findings = Findings()
    snapshot: dict[str, Any] = {"isolation": "repeatable_read", "readonly": True}
    async with pool.acquire() as connection, connection.transaction(**snapshot):
        audit = LogAudit(findings)
        rows = await connection.fetch(query("active_cursors"), list(PROJECTIONS))
        places = {row["name"]: (row["version"], Cursor(row["position"], row["hash"])) for row in rows}
        models = [_ReadModel(p, *places[name]) for name, p in PROJECTIONS.items() if name in places]
        for name in PROJECTIONS.keys() - places.keys():
            findings.add("projection", None, f"{name} has no table; run `neurocards migrate`")
        for model in models:
            await model.compare_at(0, None, connection, findings)
        async for row in connection.cursor(query("whole_log"), prefetch=_PREFETCH):
            recorded = Recorded(*row)
            audit.add(recorded)
            for model in models:
                model.fold(recorded, findings)
                await model.compare_at(recorded.position, recorded, connection, findings)
        for model in models:
            model.finish(findings)
        await _check_open_jobs(connection, audit.finish(), findings)
    return findings.problems


async def _check_open_jobs(connection: "Connection", unfinished: set[str], findings: Findings) -> None:
    listed = {row["job"] for row in await connection.fetch(query("open_job_names"))}
    for job in sorted(unfinished - listed):
        findings.add("open_jobs", None, f"job {job} is unfinished, and neither monitor nor relay will see it")
    for job in sorted(listed - unfinished):
        findings.add("open_jobs", None, f"job {job} is listed as unfinished, but it is not")


class _ReadModel:
    """A projection folded beside the walk, to be compared with its table where that one's cursor is."""

    def __init__(self, projection: AnyProjection, version: int, cursor: Cursor) -> None:
        self._projection = projection
        self._table = Table(projection, version)
        self._cursor = cursor
        self._rows: dict[str, Any] = {}
        self._compared = False

    def fold(self, recorded: Recorded, findings: Findings) -> None:
        """One event, up to the cursor."""
        if self._compared:
            return
        try:
            self._projection.fold(self._rows, recorded)
        except (CodecError, ProjectionError) as error:
            self._compared = True
            findings.add("projection", recorded.position, f"{self._projection.name} cannot go on: {error}")

    async def compare_at(
        self, position: int, recorded: Recorded | None, connection: "Connection", findings: Findings
    ) -> None:
        """Compare the table's rows with the folded ones, if this is where the table is."""
        if self._compared or position != self._cursor.position:
            return
        self._compared = True
        name = self._projection.name
        if recorded is not None and recorded.hash != self._cursor.hash:
            findings.add("projection", position, f"{name} has applied another event at position {position}")
        expected, differing = self._rows, []
        async for row in self._table.scan(connection):
            key = getattr(row, self._projection.columns[0])
            if expected.pop(key, None) != row:
                differing.append(key)
        differing += expected
        if differing:
            shown = ", ".join(differing[:_KEYS_SHOWN])
            message = f"{name} differs from the log at position {position} in {len(differing)} rows: {shown}"
            findings.add("projection", position, message)

    def finish(self, findings: Findings) -> None:
        """The log is over."""
        if not self._compared:
            message = (
                f"{self._projection.name} has come to {self._cursor.position}, where the log has not been"
            )
            findings.add("projection", None, message)
