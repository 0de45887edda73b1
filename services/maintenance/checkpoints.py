"""Signed checkpoints on schedule, when there is a key to sign with.

What is due is asked of the log, under a lock, so two processes make one checkpoint; each writes it into its
own folder.
"""

import contextlib

import structlog

from events.errors import NeurocardsError
from ledger.checkpoints.checkpoint import open_statement
from ledger.checkpoints.store import newest_checkpoint, remembered_keys, stated_until
from ledger.log.ledger import Ledger
from projections.checkpoints import CheckpointUnderWayError, make_checkpoint
from services.maintenance.metrics import CHECKPOINT_AT, CHECKPOINT_FAILURES
from services.platform.settings import Settings
from services.platform.system_start import program
from services.recovery import checkpoint_files

logger = structlog.get_logger()


class Checkpoints:
    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
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
        keys = checkpoint_files.require_signing_keys(self._settings)
        kept = checkpoint_files.kept_notes(self._folder)
        version, pool = program(self._settings), self._ledger.read.pool
        with contextlib.suppress(CheckpointUnderWayError):  # another process's
            await make_checkpoint(
                self._ledger, *keys, program=version, kept_notes=kept, every_s=self._every_s
            )
        newest, until = await newest_checkpoint(pool), await stated_until(pool)
        if newest is not None and until is not None:
            known = await remembered_keys(pool, [key.public for key in keys])
            open_statement(newest.note, *known, restored=True)  # or somebody else has written to the table
            checkpoint_files.keep_note(self._folder, newest.note)
            CHECKPOINT_AT.set(until[0] / 1e6)
