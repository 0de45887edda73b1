"""Verify a whole database: three walks over one snapshot, then their joint findings.

report = await verify(database)         # each walk in a process of its own, so that each has a core
report = await verify_on(connection)    # in this process, one walk after the other
problems = await check_ledger(pool)     # the same; [] means that everything holds

python -m projections.verify.run        # one walk: a WalkTask as a JSON line on stdin, WalkMessages on stdout
"""

import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

import asyncpg
import msgspec
import uvloop

from events.envelope import GENESIS, Cursor
from ledger.checkpoints.signed_note import PublicKey
from ledger.checkpoints.store import hash_at
from ledger.errors import LedgerError
from ledger.postgres import TRANSIENT, Connection, Pool, connect_in_turn
from ledger.sql import load_queries
from projections.engine.registry import PROJECTIONS
from projections.engine.subprocess_task import gather_on, in_process, read_task, say
from projections.verify import hash_chain, log_walk, read_models, schema_drift, stored_state
from projections.verify.findings import CHAIN_KINDS, PROBLEMS_MAX, Findings, Problem
from projections.verify.hash_chain import Chain, Progress
from projections.verify.invariants import log_time, promotions
from projections.verify.stored_state import OpenJob, RememberedPosition
from projections.verify.tamper_diagnosis import locate

engine_query = load_queries("projections.engine")

Stage = Literal["chain", "rules", "models"]
STAGES: tuple[Stage, ...] = ("chain", "rules", "models")

DRIFT_SAID_MAX = 50
"""So that a restore without owners does not keep the rules' findings out of the report."""
_TELL_EVERY_S = 0.2
_NICENESS = 10
_SNAPSHOT: dict[str, Any] = {"isolation": "repeatable_read", "readonly": True}


class Database(msgspec.Struct, frozen=True):
    url: str
    server_settings: dict[str, str]


class Report(msgspec.Struct, frozen=True):
    """Findings (at most PROBLEMS_MAX of `found`), events checked, last position."""

    problems: list[Problem]
    found: int
    head: Cursor
    events: int


class VerificationFailedError(LedgerError):
    """A walk could not be finished: database lost, or its process killed."""


class Walked(msgspec.Struct):
    problems: list[Problem] = []
    found: int = 0
    chain: Chain | None = None
    open_jobs: dict[str, OpenJob] = {}


class WalkTask(msgspec.Struct):
    """A walk and its snapshot and database; `gentle`: at lowest priority."""

    stage: Stage
    database: Database
    snapshot: str
    after: Cursor
    gentle: bool = False


class WalkMessage(msgspec.Struct, omit_defaults=True):
    at: int = 0
    walked: Walked | None = None
    error: str = ""


async def verify(
    database: Database,
    *,
    after: Cursor = GENESIS,
    keys: Sequence[PublicKey] = (),
    stages: Sequence[Stage] = STAGES,
    progress: Progress = lambda *_: None,
    gentle: bool = False,
) -> Report:
    """Verify the log after a place, and everything made of it.

    One process per walk, all at once; when `gentle`, in turn and at lowest priority. Without `models` in
    `stages` read models are not compared. With `keys` every stored checkpoint must be signed by one of them.
    Raises VerificationFailedError, and what asyncpg raises when the database cannot be reached.
    """
    connection = await connect_in_turn(database.url, server_settings=database.server_settings, timeout=10)
    try:
        drift = await schema_drift.differences(connection)
        async with connection.transaction(**_SNAPSHOT):
            snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
            tasks = [WalkTask(stage, database, snapshot, after, gentle) for stage in stages]
            if gentle:
                found = [await _in_process(task, progress) for task in tasks]
            else:
                found = await gather_on(*(_in_process(task, progress) for task in tasks))
            walked = {stage: Walked() for stage in STAGES} | dict(zip(stages, found, strict=True))
            return await _conclude(connection, after, walked, keys, drift)
    finally:
        connection.terminate()


async def verify_on(
    connection: Connection, *, after: Cursor = GENESIS, keys: Sequence[PublicKey] = ()
) -> Report:
    """The same in this process on one connection, walk by walk."""
    drift = await schema_drift.differences(connection)
    async with connection.transaction(**_SNAPSHOT):
        walked = {stage: await WALKS[stage](connection, after, lambda *_: None) for stage in STAGES}
        return await _conclude(connection, after, walked, keys, drift)


async def check_ledger(pool: Pool) -> list[Problem]:
    """Problems, up to PROBLEMS_MAX; see docs/auditing.md for what is checked."""
    async with pool.acquire() as connection:
        return (await verify_on(connection)).problems


async def _conclude(
    connection: Connection,
    after: Cursor,
    walked: Mapping[Stage, Walked],
    keys: Sequence[PublicKey],
    drift: Sequence[str],
) -> Report:
    chain = walked["chain"].chain
    assert chain is not None
    findings = Findings()
    remembered = [
        *await stored_state.cursors(connection),
        *await stored_state.checkpoints(
            connection, keys, findings, after=after.position, holds=not chain.broken
        ),
    ]
    if after != GENESIS:
        log_hash = await hash_at(connection, after.position)
        begin = RememberedPosition(
            "where this begins", "checkpoint", after.position, after.hash, log_hash, signed=True
        )
        remembered.append(begin)
    seen = {one.position: one.hash for one in remembered}
    spoken_of = await locate(connection, chain, seen, findings)
    await stored_state.check_remembered_positions(
        connection, remembered, chain.head.position, spoken_of, findings
    )
    more_drift = (
        [f"and {len(drift) - DRIFT_SAID_MAX} more: see the first"] if len(drift) > DRIFT_SAID_MAX else []
    )
    is_older = any(one.startswith(schema_drift.NEWER) for one in drift)
    for message in (*drift[:DRIFT_SAID_MAX], *more_drift):
        findings.add("unreadable" if is_older else "guard", None, message)
    placed = {p.position for p in findings.problems if p.kind in CHAIN_KINDS} | spoken_of
    for problem in (*walked["rules"].problems, *walked["models"].problems):
        if problem.kind != "sequence" or problem.position not in placed:
            findings.add(problem.kind, problem.position, problem.message)
    await promotions.check(connection, after.position, findings)
    await log_time.check(connection, after.position, findings)
    await stored_state.check_open_jobs(connection, walked["rules"].open_jobs, after.position, findings)
    await stored_state.check_deliveries(connection, after.position, findings)
    more = sum(one.found - len(one.problems) for one in walked.values())
    return Report(findings.problems[:PROBLEMS_MAX], findings.count + more, chain.head, chain.count)


async def walk_chain(connection: Connection, after: Cursor, progress: Progress) -> Walked:
    return Walked(chain=await hash_chain.walk(connection, after, progress))


async def walk_rules(connection: Connection, after: Cursor, progress: Progress) -> Walked:
    findings = Findings()
    walk = log_walk.RulesWalk(connection, findings, after.position, progress)
    await walk.run()
    return Walked(findings.problems, findings.count, open_jobs=walk.open_jobs())


async def walk_models(connection: Connection, after: Cursor, progress: Progress) -> Walked:
    findings = Findings()
    rows = await connection.fetch(engine_query("active_cursors"), list(PROJECTIONS))
    places = {row["name"]: (row["version"], Cursor(row["position"], row["hash"])) for row in rows}
    models = []
    for name, projection in PROJECTIONS.items():
        if name in places:
            models.append(read_models.model_of(projection, *places[name], whole=not after.position))
        else:
            findings.add("projection", None, f"{name} has no table; run `neurocards migrate`")
    walk = read_models.Walk([model for model in models if model is not None], findings)
    await walk.run(connection, after.position, progress)
    return Walked(findings.problems, findings.count)


WALKS: dict[Stage, Callable[[Connection, Cursor, Progress], Awaitable[Walked]]] = {
    "chain": walk_chain,
    "rules": walk_rules,
    "models": walk_models,
}


async def _in_process(task: WalkTask, progress: Progress) -> Walked:
    async with in_process("projections.verify.run", task) as lines:
        async for line in lines:
            message = msgspec.json.decode(line, type=WalkMessage)
            if message.error:
                raise VerificationFailedError(
                    f"the walk `{task.stage}` could not be finished: {message.error}"
                )
            if message.walked is not None:
                return message.walked
            progress(task.stage, message.at)
        raise VerificationFailedError(
            f"the walk `{task.stage}` ended without a result; is there enough memory?"
        )


async def _walk(task: WalkTask) -> None:
    database, told_at = task.database, time.monotonic()
    connection = await connect_in_turn(database.url, server_settings=database.server_settings, timeout=10)

    def progress(_: str, position: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at > _TELL_EVERY_S:
            told_at = time.monotonic()
            say(WalkMessage(at=position))

    try:
        async with connection.transaction(**_SNAPSHOT):
            await connection.execute(f"SET TRANSACTION SNAPSHOT '{task.snapshot}'")
            say(WalkMessage(walked=await WALKS[task.stage](connection, task.after, progress)))
    finally:
        connection.terminate()


def main() -> None:
    task: WalkTask = read_task(WalkTask)
    if task.gentle:
        os.nice(_NICENESS)
    try:
        uvloop.run(_walk(task))
    except (asyncpg.PostgresError, *TRANSIENT) as error:
        say(WalkMessage(error=f"{type(error).__name__}: {error}"))
    except Exception as error:  # e.g. a column emptied by someone who removed its constraint
        say(WalkMessage(error=f"the log holds what no version of this program writes: {error!r}"))


if __name__ == "__main__":
    main()
