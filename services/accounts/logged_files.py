"""Photos and videos of the log against the files.

A file that was deleted on purpose has left a mark (docs/decisions/retention.md); one that is gone without is
missing. The log has a video's SHA-256 and size, of a photo neither.
"""

from typing import Any

from ledger.postgres import Pool, lift_transaction_timeout
from ledger.sql import load_queries
from projections.verify.findings import Findings, Problem
from services.platform.blobs import BlobStore

query = load_queries("services.accounts")

_PAGE = 1000


async def check_files(pool: Pool, blobs: BlobStore, *, read: bool) -> list[Problem]:
    """Problems, up to PROBLEMS_MAX. Looks at sizes; with `read` at every byte of every video."""
    findings = Findings()
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await lift_transaction_timeout(connection)
        # A bucket takes minutes.
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor = await connection.cursor(query("files_logged"))
        while rows := await cursor.fetch(_PAGE):
            sizes = await blobs.sizes([row["blob"] for row in rows])
            for row, size in zip(rows, sizes, strict=True):
                said = _flaw(row, size)
                if not said and read and size is not None and row["sha256"]:
                    said = (
                        await blobs.sha256(row["blob"]) != row["sha256"]
                        and "holds other bytes than the log says"
                    )
                if said and size is None and not row["why"]:  # perhaps it was swept meanwhile
                    said = "" if await connection.fetchval(query("is_swept"), row["blob"]) else said
                if said:
                    findings.add("blob", row["position"], f"{row['blob']} {said}")
    return findings.problems


def _flaw(row: Any, size: int | None) -> str:
    wanted, swept = row["size_bytes"], row["swept_sha256"]
    if not row["why"] and size is None:
        return "is gone, and was never swept: it was lost or taken"
    if not row["why"] and wanted not in (None, str(size)):
        return f"has {size} bytes, and should have {wanted}"
    if row["why"] == "missing":
        return "was lost before it was of age"
    if row["unasked"]:
        return "is marked as an erased person's, and nobody erased its account"
    if swept and row["sha256"] not in (None, swept):
        return "held other bytes than the log says when it was swept"
    if row["settled"] and size is not None:
        return "is there, though it was swept more than a day ago"
    return ""
