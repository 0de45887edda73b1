"""A drill's faults and operator's repairs. Each returns a few words on what it did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import asyncpg

from projections.engine.registry import PROJECTIONS
from projections.rebuild.run import RebuildOptions, rebuild_all
from services.backup.repository import open_repository
from services.backup.restore import restart_postgres
from services.backup.take import take
from services.cli.commands.backup.actions import Way, go_back
from services.cli.commands.recover import recover_here
from services.cli.output import say
from services.platform.errors import StartError
from services.platform.redis import command_client
from services.rehearsal.log_watch import LogWatch
from services.rehearsal.seller import Load
from services.rehearsal.system import LocalStack

Name = Literal["flush-redis", "kill-redis", "restart-postgres", "restore", "rebuild"]

_LOST_SALES: Final = 2
"""So many orders, at least, are served between the moment and the restore, and lost by it."""


class Drill(NamedTuple):
    stack: LocalStack
    load: Load


async def flush_redis(drill: Drill) -> str:
    async with command_client(drill.stack.settings) as redis:
        await redis.flushall()
    return "FLUSHALL"


async def kill_redis(drill: Drill) -> str:
    killed = await drill.stack.kill("valkey")
    await drill.stack.back("valkey", killed)
    return "SIGKILL, started again by the supervisor"


async def restart(drill: Drill) -> str:
    await restart_postgres(drill.stack.data)
    return "stopped, started again by the supervisor"


async def rebuild_them(drill: Drill) -> str:
    """Rebuild all projections in one pass; each must equal the live one."""
    rebuilt = await rebuild_all(drill.stack.database_owner_url, list(PROJECTIONS), RebuildOptions())
    different = [done.state.name for done in rebuilt if not done.swapped]
    if different:
        raise StartError(
            f"rebuilt from the log {', '.join(different)} is not what is shown; nothing was changed"
        )
    for done in rebuilt:
        say(f"{done.state.name} at {done.state.cursor.position}: {done.state.root[:12]}, as live")
    return f"{len(rebuilt)} projections, all up to {min(done.state.cursor.position for done in rebuilt)}"


class Restore:
    """Back up, serve more orders, restore: what came after the moment is undone."""

    def __init__(self) -> None:
        self._moment: datetime | None = None
        self._label = ""

    async def prepare(self, drill: Drill) -> None:
        settings = drill.stack.settings
        repository = open_repository(settings)
        everything = len(repository.backups()) + 1  # a drill removes nobody's backups
        taken = await take(settings, repository, keep=everything, progress=lambda *_: None)
        self._label = taken.backup.label
        await drill.load.until_ended(len(drill.load.ended()) + 1)
        connection = await asyncpg.connect(drill.stack.database_url)
        try:
            self._moment = await connection.fetchval("SELECT clock_timestamp()")
        finally:
            await connection.close()
        say(f"backup {self._label} taken; going back to {self._moment}")
        await drill.load.until_ended(len(drill.load.ended()) + _LOST_SALES)

    async def strike(self, drill: Drill) -> str:
        settings, stack = drill.stack.settings, drill.stack
        repository = open_repository(settings)
        way = Way(repository.find(self._label), self._moment, None, running=True)
        await go_back(settings, repository, way, blobs=False, say=say)
        unexplained = await recover_here(settings, [], "drill", "drill: restore", _tell_plan)
        if unexplained:
            raise StartError("; ".join(unexplained))
        lost = 0
        async with LogWatch(stack.settings) as watch:
            for sale in drill.load.sales:
                known = bool(await watch.jobs_of(sale.user_id))
                lost += sale.ordered and not known
                if sale.ended_at is None and not known:
                    await drill.load.begin_anew(sale)
        return f"{lost} orders after the moment are gone"


def _tell_plan(rows: list[dict[str, Any]], nothing_to_do: bool) -> None:
    for row in rows:
        if row["action"]:
            say(f"{row['part']}: {row['found']}: {row['action']}")


Hand = Callable[[Drill], Awaitable[str]]
_SIMPLE: Final[dict[Name, Hand]] = {
    "flush-redis": flush_redis,
    "kill-redis": kill_redis,
    "restart-postgres": restart,
    "rebuild": rebuild_them,
}


def hands(name: Name) -> tuple[Callable[[Drill], Awaitable[None]] | None, Hand]:
    if name == "restore":
        restore = Restore()
        return restore.prepare, restore.strike
    return None, _SIMPLE[name]
