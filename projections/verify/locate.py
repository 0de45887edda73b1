"""From "the hash does not follow here" to what was done: edited, renamed, deleted, inserted, moved."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from events.envelope import Recorded
from projections.problems import Findings
from projections.verify.chain import Chain
from projections.verify.naming import Located
from projections.verify.sql import query
from projections.verify.suspects import Suspect

if TYPE_CHECKING:
    from projections.tables import Connection

SUSPECTS_MAX = 60
"""So many broken rows are looked at one by one; of more only the number is told."""


async def locate(
    connection: "Connection", chain: Chain, seen: dict[int, bytes], findings: Findings
) -> set[int]:
    """Say what was done to the rows that do not follow; the positions that are spoken of.

    `seen` are the hashes that others remember, by position: they tell a changed row from a changed hash.
    """
    if not chain.broken:
        return set()
    suspects = await _suspects(connection, chain)
    streams = await _streams(connection, suspects)
    found = Located(suspects, seen, streams, chain.head.position)
    for kind, position, message in found.findings():
        findings.add(kind, position, message)
    if chain.broken > len(suspects):
        message = (
            f"{chain.broken - len(suspects)} more hashes do not follow, up to position {chain.breaks[-1]}"
        )
        findings.add("sequence", chain.breaks[len(suspects)], message)
    return found.positions | set(chain.breaks)


async def _suspects(connection: "Connection", chain: Chain) -> list[Suspect]:
    broken = set(chain.breaks)
    suspects = []
    for position in chain.breaks[:SUSPECTS_MAX]:
        rows = [Recorded(*row) for row in await connection.fetch(query("around"), position)]
        at = next(index for index, row in enumerate(rows) if row.position == position)
        after = rows[at + 1] if at + 1 < len(rows) else None
        before = rows[at - 1] if at else None
        suspects.append(Suspect(rows[at], before, after, after is not None and after.position in broken))
    return suspects


async def _streams(connection: "Connection", suspects: Sequence[Suspect]) -> dict[int, list[str]]:
    """For each version that a suspect has: the streams where it may have stood."""
    versions = {s.row.version for s in suspects}
    torn = [row[0] for row in await connection.fetch(query("torn_streams"))]
    found = {version: list(torn) for version in versions}
    for row in await connection.fetch(query("streams_ending"), [v - 1 for v in versions]):
        found[row["version"] + 1].append(row["stream"])
    return found
