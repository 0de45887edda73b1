"""Sweeps what is of age: drafts, words, photos, videos, contacts, messages (docs/decisions/retention.md).

A file that was taken from its owner is deleted again after a day: a process storing it meanwhile may have
died before it could look (docs/decisions/erasure.md).
"""

from typing import Final

import structlog

from ledger.postgres import Pool
from ledger.sql import load_queries
from services.maintenance.metrics import SWEPT
from services.platform.blobs import BlobStore
from services.platform.settings import Settings

query = load_queries("services.maintenance")

logger = structlog.get_logger()

AT_ONCE: Final = 500
FILES_AT_ONCE: Final = 100
DAY_S: Final = 86_400.0
NOBODYS_S: Final = DAY_S
"""After which a file without an owner, or half a file, goes for the last time."""


class Retention:
    def __init__(self, pool: Pool, blobs: BlobStore, settings: Settings) -> None:
        self._pool = pool
        self._blobs = blobs
        self._settings = settings

    async def run_once(self) -> int:
        """How many rows and files went, at most AT_ONCE of each kind."""
        known = self._settings
        drafts_s, orders_s = known.draft_keep_seconds, known.orders_keep_days * DAY_S
        statements = {
            "drafts": (query("drafts_drop"), drafts_s),
            "early": (query("early_drop"), drafts_s),
            "orders": (query("orders_drop"), orders_s),
            "texts": (query("texts_drop"), orders_s + known.job_deadline_seconds),  # earlier no job had ended
            "contacts": (query("contacts_drop"), known.contacts_keep_days * DAY_S),
            "deliveries": (query("deliveries_drop"), known.deliveries_keep_days * DAY_S),
        } | {
            table: (query("rows_drop").format(table=table, since=since), keep_s)
            for table, since, keep_s in (
                ("verdicts", "judged_at", orders_s),
                ("wrong_codes", "tried_at", DAY_S),
                ("notice_requests", "asked_at", 3 * DAY_S),
                ("outside_words", "said_at", known.words_keep_days * DAY_S),
                ("operations", "ended_at", 90 * DAY_S),
                ("verification_runs", "ended_at", known.reads_keep_days * DAY_S),
                ("backup_runs", "ended_at", known.reads_keep_days * DAY_S),
                ("person_reads", "read_at", known.reads_keep_days * DAY_S),
            )
        }
        swept = {}
        for what, (sql, keep_s) in statements.items():
            swept[what] = int(await self._pool.fetchval(sql, keep_s, AT_ONCE))
        swept["files"] = await self._disown(drafts_s, known.videos_keep_days * DAY_S)
        await self._delete_files()
        for what, count in swept.items():
            SWEPT.labels(what).inc(count)
        if total := sum(swept.values()):
            logger.info("swept", **{what: count for what, count in swept.items() if count})
        return total

    async def _disown(self, unused_s: float, videos_s: float) -> int:
        """Take files of age from their owners; a mark says with which bytes those of the log went."""
        due = await self._pool.fetch(query("files_due").format(lock=""), unused_s, videos_s, FILES_AT_ONCE)
        hashes = [await self._blobs.sha256(blob) if logged else None for blob, _, logged in due]
        sql = query("files_disown").format(due=query("files_due").format(lock="FOR UPDATE OF b SKIP LOCKED"))
        names = [row["blob"] for row in due]
        return int(await self._pool.fetchval(sql, unused_s, videos_s, FILES_AT_ONCE, names, hashes))

    async def _delete_files(self) -> None:
        over = []
        for blob, settled in await self._pool.fetch(query("blobs_of_nobody"), NOBODYS_S):
            await self._blobs.delete(blob)
            if settled:
                over.append(blob)
        await self._pool.execute("DELETE FROM blobs WHERE blob = ANY ($1) AND account IS NULL", over)
        await self._blobs.delete_partial(NOBODYS_S)
