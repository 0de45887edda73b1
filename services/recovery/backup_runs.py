"""What is known of backups in the database: those that were taken, read through and restored on trial.

Whoever looks at it (gauges, owner's chat, dashboard, `doctor`) needs no sight of BACKUP_DIR.
"""

from typing import Final, Literal

import msgspec

from ledger.postgres import Reader
from ledger.sql import load_queries

query = load_queries("services.recovery")

Kind = Literal["backup", "check", "drill"]
Concern = Literal["damaged", "old", "undrilled"]

TAKEN_S_MAX: Final = 36 * 3600.0
DRILLED_S_MAX: Final = 8 * 86_400.0
SAID: Final[dict[Concern, str]] = {
    "damaged": "a check or drill has found something: `neurocards backup check`, then `drill`",
    "old": "the last backup is older than 36 hours: `neurocards backup take`",
    "undrilled": "none was restored on trial for eight days: `neurocards backup drill`",
}
PROBLEMS_MAX: Final = 20
"""Kept of a run."""


class BackupRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `size_bytes`: the database, without its files.

    Of a drill `restore_s` until Postgres answered on the restored (RTO), and what would have been lost with
    the machine at its beginning: `lost_events`, the oldest recorded `lost_s` before (RPO).
    """

    kind: Kind
    backup: str
    position: int = 0
    size_bytes: int = 0
    files: int = 0
    seconds: float = 0.0
    restore_s: float | None = None
    lost_events: int | None = None
    lost_s: float | None = None
    problems: list[str] = []


class DrillTask(msgspec.Struct, frozen=True):
    """For `python -m services.backup.drill`: the log in use, the backups, where to restore."""

    database_url: str
    backups: str
    data_dir: str


class DrillAnswer(msgspec.Struct, frozen=True):
    """What a drill found, or why it could not be held."""

    run: BackupRun | None = None
    error: str = ""


class BackupStatus(msgspec.Struct, frozen=True):
    """Epoch seconds of the last good backup and drill (None: never), and what the newest runs found."""

    now_s: float
    taken_at_s: float | None
    drilled_at_s: float | None
    first_at_s: float | None
    restore_s: float | None
    lost_s: float | None
    problems: list[str]

    @property
    def concern(self) -> Concern | None:
        """What must be seen to; None also where no backup was ever taken from here."""
        if self.problems:
            return "damaged"
        if self.taken_at_s is None or self.first_at_s is None:
            return None
        if self.now_s - self.taken_at_s > TAKEN_S_MAX:
            return "old"
        return "undrilled" if self.now_s - (self.drilled_at_s or self.first_at_s) > DRILLED_S_MAX else None


async def record_run(reader: Reader, run: BackupRun) -> None:
    found = msgspec.structs.replace(run, problems=run.problems[:PROBLEMS_MAX])
    await reader.execute(query("backup_run"), *msgspec.structs.astuple(found))


async def backup_status(reader: Reader) -> BackupStatus:
    row = await reader.fetchrow(query("backup_status"))
    assert row is not None
    return BackupStatus(**row)


async def drill_is_due(reader: Reader, every_s: float) -> bool:
    """Whether it is time for a restore drill."""
    return bool(await reader.fetchval(query("drill_due"), every_s))
