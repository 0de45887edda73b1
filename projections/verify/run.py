"""Verifies a whole database: three walks over one snapshot, then what only all of them together can tell.

report = await verify(source)       # report.problems == [] means that everything holds
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from events.envelope import GENESIS, Cursor
from ledger import noted
from ledger.errors import LedgerError
from ledger.note import PublicKey
from projections.in_process import in_process
from projections.problems import CHAIN_KINDS, PROBLEMS_MAX, Findings, Problem
from projections.verify import clock, gifts, notes, tables, witnesses
from projections.verify.chain import Progress
from projections.verify.locate import locate
from projections.verify.process import Said, Task
from projections.verify.stages import STAGES, WALKS, Stage, Walked
from projections.verify.witnesses import Witness

if TYPE_CHECKING:
    from projections.tables import Connection

_SNAPSHOT: dict[str, Any] = {"isolation": "repeatable_read", "readonly": True}


class Source(msgspec.Struct, frozen=True):
    """The database, and what each connection to it is told."""

    url: str
    server_settings: dict[str, str]


class Report(msgspec.Struct, frozen=True):
    """What was found (at most PROBLEMS_MAX of `found`), over how many events up to where."""

    problems: list[Problem]
    found: int
    head: Cursor
    events: int


class WalkFailed(LedgerError):
    """A walk could not be finished: the database went away, or the walk's process was killed."""


def silent(stage: str, position: int) -> None:
    """No progress is shown."""


async def verify(
    source: Source,
    *,
    after: Cursor = GENESIS,
    keys: Sequence[PublicKey] = (),
    stages: Sequence[Stage] = STAGES,
    progress: Progress = silent,
    gentle: bool = False,
) -> Report:
    """Verify the log after a place, and everything made of it. One process per walk.

    All walks go on at the same time; when `gentle`, one after the other and after everybody else's work.

    Without `models` in `stages` read models are not compared. With `keys` every stored checkpoint must be
    signed by one of them. Raises WalkFailed, and what asyncpg raises when the database cannot be reached.
    """
    connection = await asyncpg.connect(source.url, server_settings=source.server_settings, timeout=10)
    try:
        async with connection.transaction(**_SNAPSHOT):
            snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
            tasks = [
                Task(stage, source.url, source.server_settings, snapshot, after, gentle) for stage in stages
            ]
            walk = _one_by_one if gentle else _at_once
            walked = {stage: Walked() for stage in STAGES}
            walked |= dict(zip(stages, await walk(tasks, progress), strict=True))
            return await _conclude(connection, after, walked, keys)
    finally:
        connection.terminate()


async def verify_on(
    connection: "Connection", *, after: Cursor = GENESIS, keys: Sequence[PublicKey] = ()
) -> Report:
    """The same in this process, on one connection, one walk after the other."""
    async with connection.transaction(**_SNAPSHOT):
        walked = {stage: await WALKS[stage](connection, after, silent) for stage in STAGES}
        return await _conclude(connection, after, walked, keys)


async def _conclude(
    connection: "Connection", after: Cursor, walked: Mapping[Stage, Walked], keys: Sequence[PublicKey]
) -> Report:
    chain = walked["chain"].chain
    assert chain is not None
    findings = Findings()
    seen = [*await witnesses.cursors(connection), *await notes.checkpoints(connection, keys, findings)]
    if after != GENESIS:
        log_hash = await noted.hash_at(connection, after.position)
        begin = Witness("where this begins", "checkpoint", after.position, after.hash, log_hash, signed=True)
        seen.append(begin)
    remembered = {w.position: w.hash for w in seen}
    spoken_of = await locate(connection, chain, remembered, findings)
    await witnesses.question(connection, seen, chain.head.position, spoken_of, findings)
    await tables.check_guards(connection, findings)
    placed = {p.position for p in findings.problems if p.kind in CHAIN_KINDS} | spoken_of
    for problem in (*walked["rules"].problems, *walked["models"].problems):
        if problem.kind != "sequence" or problem.position not in placed:
            findings.add(problem.kind, problem.position, problem.message)
    await gifts.check(connection, after.position, findings)
    await clock.check(connection, after.position, findings)
    await tables.check_open_jobs(connection, walked["rules"].open_jobs, after.position, findings)
    more = sum(w.found - len(w.problems) for w in walked.values())
    return Report(findings.problems[:PROBLEMS_MAX], findings.count + more, chain.head, chain.count)


async def _one_by_one(walks: Sequence[Task], progress: Progress) -> list[Walked]:
    return [await _in_process(walk, progress) for walk in walks]


async def _at_once(walks: Sequence[Task], progress: Progress) -> list[Walked]:
    """All to their ends; when one fails the others are stopped."""
    tasks = [asyncio.ensure_future(_in_process(walk, progress)) for walk in walks]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _in_process(task: Task, progress: Progress) -> Walked:
    async with in_process("projections.verify.process", task) as lines:
        async for line in lines:
            said = msgspec.json.decode(line, type=Said)
            if said.error:
                raise WalkFailed(f"the walk `{task.stage}` could not be finished: {said.error}")
            if said.walked is not None:
                return said.walked
            progress(task.stage, said.at)
        raise WalkFailed(f"the walk `{task.stage}` ended without a result; is there enough memory?")
