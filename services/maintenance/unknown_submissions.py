"""Submissions whose outcome stays unknown: nobody may repeat them, so a person should know of them.

The deadline ends their jobs; until then a callback may still bring the task. Reads the ledger's own tables.
"""

from typing import Final

import structlog

from ledger.postgres import Pool
from ledger.sql import load_queries
from services.monitor.metrics import UNKNOWN

query = load_queries("services.maintenance")

logger = structlog.get_logger()

UNKNOWN_S: Final = 180.0
"""A call and its answer take half a minute at most; a callback may take as long as the video."""


class UnknownSubmissions:
    """`run_once` every half minute or so. One warning per submission, from each monitor."""

    def __init__(self, pool: Pool, *, after_s: float = UNKNOWN_S) -> None:
        self._pool = pool
        self._after_s = after_s
        self._told: set[tuple[str, int]] = set()

    async def run_once(self) -> int:
        """Count them, and warn of those that are new; how many there are."""
        rows = await self._pool.fetch(query("unknown_submissions"), self._after_s)
        found = {(row["job"], row["submission"]): row for row in rows}
        for job, submission in found.keys() - self._told:
            row = found[job, submission]
            logger.warning(
                "submission_still_unknown",
                job=job,
                account=row["account"],
                submission=submission,
                provider_account=row["provider_account"],
                for_s=round(row["unknown_s"]),
            )
        self._told = set(found)
        UNKNOWN.set(len(found))
        return len(found)
