"""Hash chain walk: rows whose hash does not follow."""

from collections.abc import Callable
from hashlib import sha256

import msgspec

from events.envelope import Cursor
from ledger.checkpoints.checkpoint import POSITION_MAX
from ledger.postgres import Connection
from ledger.sql import load_queries

query = load_queries("projections.verify")

PAGE = 1000
BREAKS_MAX = 100_000
"""So many breaks are remembered; a log with more of them is not the one that was written."""

Progress = Callable[[str, int], None]
"""Called with the walk's name and the position reached."""


class Chain(msgspec.Struct):
    breaks: list[int]
    broken: int
    head: Cursor
    count: int = 0


async def walk(connection: Connection, after: Cursor, progress: Progress, up_to: int = POSITION_MAX) -> Chain:
    chain = Chain([], 0, after)
    previous, position, last = after.hash, after.position, b""
    cursor = await connection.cursor(query("chain"), after.position, up_to)
    while rows := await cursor.fetch(PAGE):
        for covered, digest in rows:
            if sha256(previous + covered).digest() != digest:
                chain.broken += 1
                if chain.broken <= BREAKS_MAX:
                    chain.breaks.append(_position_of(covered))
            previous = digest
        last = rows[-1][0]
        position = _position_of(last)
        chain.count += len(rows)
        progress("chain", position)
    chain.head = Cursor(position, previous)
    return chain


def _position_of(covered: bytes) -> int:
    return int.from_bytes(covered[:8], "big", signed=True)
