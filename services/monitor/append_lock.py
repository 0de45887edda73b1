"""Watchdog of the append lock; alarm about sessions that hinder the log.

A login that may append can hold the lock inside an open transaction, and set off every timeout of its own.
"""

import time
from typing import Final

import asyncpg
import structlog

from ledger.postgres import Pool
from ledger.sql import load_queries
from services.monitor.metrics import HINDERED, LOCK_FREED

query = load_queries("services.monitor")

logger = structlog.get_logger()

HELD_S_MAX: Final = 10.0
"""By our own monotonic clock: the begin of a transaction is told by the clock that may be wrong."""
SAID_AGAIN_S: Final = 60.0
KINDS: Final = ("append_lock", "events_lock", "snapshot", "notify_queue")


class LockWatch:
    """Frees the lock when the same transaction has held it for HELD_S_MAX."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._holder: tuple[object, ...] = ()
        self._seen_at = 0.0
        self._said: dict[tuple[object, ...], float] = {}
        for kind in KINDS:
            HINDERED.labels(kind).set(0)

    async def run_once(self) -> int:
        found = await self._pool.fetch(query("hindrances"))
        for kind in KINDS:
            HINDERED.labels(kind).set(sum(row["what"] == kind for row in found))
        holders = [row for row in found if row["what"] == "append_lock"]
        self._tell([row for row in found if row["what"] != "append_lock"])
        holder = tuple(holders[0][name] for name in ("pid", "since")) if holders else ()
        if holder != self._holder:
            self._holder, self._seen_at = holder, time.monotonic()
            return 0
        if not holder or time.monotonic() - self._seen_at < HELD_S_MAX:
            return 0
        return await self._free(holders[0])

    async def _free(self, holder: "asyncpg.Record") -> int:
        told = {name: holder[name] for name in ("pid", "login", "waits_for")}
        if holder["waits_for"] == "SyncRep":
            self._tell([holder])
            return 0
        freed = await self._pool.fetchval(query("free_append_lock"), holder["pid"], holder["since"])
        logger.error("append_lock_freed" if freed else "append_lock_not_freed", held_s=HELD_S_MAX, **told)
        if freed:
            LOCK_FREED.labels(holder["login"]).inc()
        return int(bool(freed))

    def _tell(self, rows: "list[asyncpg.Record]") -> None:
        now = time.monotonic()
        self._said = {who: at for who, at in self._said.items() if now - at < SAID_AGAIN_S}
        for row in rows:
            who = (row["what"], row["pid"], row["since"])
            if who not in self._said:
                self._said[who] = now
                logger.error(
                    "log_hindered", **{name: str(value) for name, value in row.items() if value is not None}
                )
