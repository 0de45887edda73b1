"""Scheduled restore drill: the newest backup, every week, where this process sees BACKUP_DIR.

In a process of its own (services/backup/drill.py), which ends with this one. In containers BACKUP_DIR is not
here: a timer of the host runs `neurocards backup drill` (docs/operations.md).
"""

import asyncio
import time
from typing import Final

import msgspec
import structlog

from ledger.postgres import Pool
from projections.engine.subprocess_task import in_process
from services.platform.periodic import until_stopped
from services.platform.settings import Settings
from services.recovery.backup_runs import DrillAnswer, DrillTask, drill_is_due, record_run

logger = structlog.get_logger()

AGAIN_S: Final = 3600.0
"""After one that could not be held, or died: it costs as much as a restore."""


class RestoreDrill:
    """`run_once` every minute. What is under way ends when `stop` is set."""

    def __init__(self, settings: Settings, pool: Pool, stop: asyncio.Event) -> None:
        self._settings = settings
        self._pool = pool
        self._stop = stop
        self._lock = settings.data_dir.expanduser() / "drill.lock"

    async def run_once(self) -> int:
        """Hold a drill if due; whether it was held."""
        if not self._has_backups() or 0 <= time.time() - self._begun_at_s() < AGAIN_S:
            return 0
        if not await drill_is_due(self._pool, self._settings.drill_every_seconds):
            return 0
        self._lock.touch()
        answer = await until_stopped(self._hold(), self._stop)
        if answer is None:
            return 0
        if answer.run is None:
            logger.error("drill_not_held", reason=answer.error, again_in_s=AGAIN_S)
            return 0
        await record_run(self._pool, answer.run)
        tell = logger.error if answer.run.problems else logger.info
        facts = msgspec.to_builtins(answer.run)
        tell("backup_restored_on_trial", **{name: fact for name, fact in facts.items() if name != "kind"})
        return 1

    async def _hold(self) -> DrillAnswer:
        settings = self._settings
        task = DrillTask(settings.require_database_url(), str(settings.backups), str(settings.data_dir))
        async with in_process("services.backup.drill", task) as lines:
            async for line in lines:
                return msgspec.json.decode(line, type=DrillAnswer)
        return DrillAnswer(error="it ended without a result; is there enough memory?")

    def _has_backups(self) -> bool:
        return any(self._settings.backups.glob("[!.]*/backup.json"))

    def _begun_at_s(self) -> float:
        return self._lock.stat().st_mtime if self._lock.exists() else 0.0
