"""The three walks as what can be run anywhere: on one connection, or each in a process of its own."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal

import msgspec

from events.envelope import Cursor
from projections.catalogue import PROJECTIONS
from projections.problems import Findings, Problem
from projections.sql import query as projections_query
from projections.verify import chain, models
from projections.verify.chain import Chain, Progress
from projections.verify.walk import OpenJob, RulesWalk

if TYPE_CHECKING:
    from projections.tables import Connection

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
        models.model_of(p, *places[name], whole=whole) for name, p in PROJECTIONS.items() if name in places
    ]
    for name in PROJECTIONS.keys() - places.keys():
        findings.add("projection", None, f"{name} has no table; run `neurocards migrate`")
    await models.Walk([model for model in found if model is not None], findings).run(
        connection, after.position, progress
    )
    return Walked(findings.problems, findings.count)


WALKS: dict[Stage, Callable[["Connection", Cursor, Progress], Awaitable[Walked]]] = {
    "chain": walk_chain,
    "rules": walk_rules,
    "models": walk_models,
}
