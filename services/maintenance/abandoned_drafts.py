"""Deletes abandoned drafts, unused photos, ownerless blobs, old outside words.

A file that was taken from its owner is deleted again after a day: a process storing it meanwhile may have
died before it could look (docs/decisions/erasure.md).
"""

from typing import Final

import structlog

from ledger.postgres import Pool
from ledger.sql import load_queries
from services.platform.blobs import BlobStore

query = load_queries("services.maintenance")

logger = structlog.get_logger()

AT_ONCE: Final = 500
NOBODYS_S: Final = 86_400.0
WORDS_KEEP_S: Final = 90 * 86_400.0


class AbandonedDrafts:
    """Deletes what is older than `keep_s`, which is DRAFT_KEEP_SECONDS."""

    def __init__(self, pool: Pool, blobs: BlobStore, *, keep_s: float) -> None:
        self._pool = pool
        self._blobs = blobs
        self._keep_s = keep_s

    async def run_once(self) -> int:
        """How many drafts went and how many photos lost their owner; at most AT_ONCE of each."""
        drafts = await self._pool.fetchval(query("drafts_drop"), self._keep_s, AT_ONCE)
        photos = await self._pool.fetchval(query("photos_disown"), self._keep_s, AT_ONCE)
        over = []
        for blob, settled in await self._pool.fetch(query("blobs_of_nobody"), NOBODYS_S):
            await self._blobs.delete(blob)
            if settled:
                over.append(blob)
        await self._pool.execute("DELETE FROM blobs WHERE blob = ANY ($1) AND account IS NULL", over)
        await self._blobs.delete_partial(NOBODYS_S)
        await self._pool.execute(query("outside_words_drop"), WORDS_KEEP_S)
        if drafts or photos:
            logger.info("abandoned_deleted", drafts=drafts, photos=photos)
        return int(drafts + photos)
