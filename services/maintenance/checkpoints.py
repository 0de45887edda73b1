"""Signed checkpoints on schedule, when there is a key to sign with.

What is due is asked of the table, under a lock, so two processes make one checkpoint; each writes it into its
own folder.
"""

import contextlib

import structlog

from events.errors import NeurocardsError
from ledger.checkpoints.signed_note import open_note
from ledger.checkpoints.store import newest_checkpoint
from ledger.postgres import Pool
from projections.checkpoints import CheckpointUnderWayError, make_checkpoint
from services.maintenance.metrics import CHECKPOINT_AT, CHECKPOINT_FAILURES
from services.platform.settings import Settings
from services.recovery import checkpoint_files

logger = structlog.get_logger()


class Checkpoints:
    def __init__(self, settings: Settings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool
        self._folder = checkpoint_files.folder(settings)
        self._every_s = settings.checkpoint_every_seconds

    @property
    def idle_s(self) -> float:
        return max(min(self._every_s / 10, 30.0), 0.1)

    async def run_once(self) -> int:
        """Make one if due, and write the newest into the folder. 0: look again in `idle_s`."""
        try:
            await self._make()
        except (NeurocardsError, OSError) as error:
            CHECKPOINT_FAILURES.inc()
            logger.error("checkpoint_not_made", reason=str(error), kind=type(error).__name__)
        return 0

    async def _make(self) -> None:
        key = checkpoint_files.require_signing_key(self._settings)
        kept = checkpoint_files.kept_notes(self._folder)
        with contextlib.suppress(CheckpointUnderWayError):  # another process's
            await make_checkpoint(self._pool, key, kept_notes=kept, every_s=self._every_s)
        newest = await newest_checkpoint(self._pool)
        if newest is not None:
            open_note(newest.note, key.public)  # or somebody else has written to the table
            checkpoint_files.keep_note(self._folder, newest.note)
            CHECKPOINT_AT.set(newest.statement.time_us / 1e6)
