"""Verifies a whole database: three walks over one snapshot, then what only all of them together can tell.

report = await verify(source)       # report.problems == [] means that everything holds
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal

import msgspec

from events.envelope import Cursor
from ledger.sql import load_queries
from projections.engine.registry import PROJECTIONS
from projections.verify import hash_chain as chain
from projections.verify import read_models
from projections.verify.findings import Findings, Problem
from projections.verify.hash_chain import Chain, Progress
from projections.verify.log_walk import OpenJob, RulesWalk

if TYPE_CHECKING:
    from ledger.postgres import Connection
import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import asyncpg
import uvloop

from events.envelope import GENESIS
from ledger.checkpoints import store as noted
from ledger.checkpoints.signed_note import PublicKey
from ledger.errors import LedgerError
from projections.engine.subprocess_task import BROKEN_OFF, in_process, read_task, say
from projections.verify import clock, log_walk, stored_state
from projections.verify.findings import CHAIN_KINDS, PROBLEMS_MAX
from projections.verify.invariants import promotions
from projections.verify.stored_state import RememberedPosition
from projections.verify.tamper_diagnosis import locate

if TYPE_CHECKING:
    from ledger.postgres import Connection

projections_query = load_queries("projections.engine")

# The three walks as what can be run anywhere: on one connection, or each in a process of its own.


Stage = Literal["chain", "rules", "models"]
STAGES: tuple[Stage, ...] = ("chain", "rules", "models")


class Walked(msgspec.Struct):
    """What a walk came to; `chain` and `open_jobs` from the walk that knows them."""

    problems: list[Problem] = []
    found: int = 0
    events: int = 0
    chain: Chain | None = None
    open_jobs: dict[str, OpenJob] = {}


async def walk_chain(connection: "Connection", after: Cursor, progress: Progress) -> Walked:
    """Hash by hash."""
    walked = await chain.walk(connection, after, progress)
    return Walked(chain=walked, events=walked.count)


async def walk_rules(connection: "Connection", after: Cursor, progress: Progress) -> Walked:
    """What the rows say."""
    findings = Findings()
    walk = RulesWalk(connection, findings, after.position, progress)
    await walk.run()
    return Walked(findings.problems, findings.count, open_jobs=walk.open_jobs())


async def walk_models(connection: "Connection", after: Cursor, progress: Progress) -> Walked:
    """Every read model against the log."""
    findings = Findings()
    rows = await connection.fetch(projections_query("active_cursors"), list(PROJECTIONS))
    places = {row["name"]: (row["version"], Cursor(row["position"], row["hash"])) for row in rows}
    whole = not after.position
    found = [
        read_models.model_of(p, *places[name], whole=whole)
        for name, p in PROJECTIONS.items()
        if name in places
    ]
    for name in PROJECTIONS.keys() - places.keys():
        findings.add("projection", None, f"{name} has no table; run `neurocards migrate`")
    await read_models.Walk([model for model in found if model is not None], findings).run(
        connection, after.position, progress
    )
    return Walked(findings.problems, findings.count)


WALKS: dict[Stage, Callable[["Connection", Cursor, Progress], Awaitable[Walked]]] = {
    "chain": walk_chain,
    "rules": walk_rules,
    "models": walk_models,
}


# One walk in a process of its own, so that each has a core.
#
# python -m projections.verify.run   # a Task as one JSON line on stdin; Said lines on stdout
#
# Started by `projections.verify.run` only.


_EVERY_S = 0.2
_NICE = 10


class Task(msgspec.Struct):
    """Which walk, and over which snapshot of which database; `gentle`: after everybody else's work."""

    stage: Stage
    url: str
    server_settings: dict[str, str]
    snapshot: str
    after: Cursor
    gentle: bool = False


class Said(msgspec.Struct, omit_defaults=True):
    """One line: how far it is, how it ended, or why it could not."""

    at: int = 0
    walked: Walked | None = None
    error: str = ""


async def walk(task: Task) -> None:
    """Do the task and say what came of it."""
    connection = await asyncpg.connect(task.url, server_settings=task.server_settings, timeout=10)
    said_at = time.monotonic()

    def progress(_: str, position: int) -> None:
        nonlocal said_at
        if time.monotonic() - said_at > _EVERY_S:
            said_at = time.monotonic()
            say(Said(at=position))

    try:
        snapshot: dict[str, Any] = {"isolation": "repeatable_read", "readonly": True}
        async with connection.transaction(**snapshot):
            await connection.execute(f"SET TRANSACTION SNAPSHOT '{task.snapshot}'")
            say(Said(walked=await WALKS[task.stage](connection, task.after, progress)))
    finally:
        connection.terminate()


def main() -> None:
    """Read the task, do it."""
    task: Task = read_task(Task)
    if task.gentle:
        os.nice(_NICE)
    try:
        uvloop.run(walk(task))
    except BROKEN_OFF as error:
        say(Said(error=f"{type(error).__name__}: {error}"))
    except Exception as error:  # e.g. a column emptied by someone who removed its constraint
        say(Said(error=f"the log holds what no version of this program writes: {error!r}"))


if __name__ == "__main__":
    main()


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


class VerificationFailedError(LedgerError):
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
    signed by one of them. Raises VerificationFailedError, and what asyncpg raises when the database cannot
    be reached.
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
    seen = [
        *await stored_state.cursors(connection),
        *await stored_state.checkpoints(connection, keys, findings),
    ]
    if after != GENESIS:
        log_hash = await noted.hash_at(connection, after.position)
        begin = RememberedPosition(
            "where this begins", "checkpoint", after.position, after.hash, log_hash, signed=True
        )
        seen.append(begin)
    remembered = {w.position: w.hash for w in seen}
    spoken_of = await locate(connection, chain, remembered, findings)
    await stored_state.check_remembered_positions(connection, seen, chain.head.position, spoken_of, findings)
    await log_walk.check_guards(connection, findings)
    placed = {p.position for p in findings.problems if p.kind in CHAIN_KINDS} | spoken_of
    for problem in (*walked["rules"].problems, *walked["models"].problems):
        if problem.kind != "sequence" or problem.position not in placed:
            findings.add(problem.kind, problem.position, problem.message)
    await promotions.check(connection, after.position, findings)
    await clock.check(connection, after.position, findings)
    await log_walk.check_open_jobs(connection, walked["rules"].open_jobs, after.position, findings)
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
    async with in_process("projections.verify.run", task) as lines:
        async for line in lines:
            said = msgspec.json.decode(line, type=Said)
            if said.error:
                raise VerificationFailedError(f"the walk `{task.stage}` could not be finished: {said.error}")
            if said.walked is not None:
                return said.walked
            progress(task.stage, said.at)
        raise VerificationFailedError(
            f"the walk `{task.stage}` ended without a result; is there enough memory?"
        )
