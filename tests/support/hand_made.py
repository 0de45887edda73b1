"""Batches made by hand and sent through `ledger.append`, as whoever has a login can send them."""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

Made = tuple[str, str, Mapping[str, Any]]
"""Stream, type and data of an event."""

ARGUMENTS: Final = (
    "p_cursors", "p_cursor_hashes", "p_now_us", "p_wall_us", "p_witness_us", "p_streams", "p_versions",
    "p_keys", "p_bodies", "p_counts", "p_places", "p_types", "p_data",
)  # fmt: skip
CALL: Final = f"SELECT * FROM ledger.append({', '.join(f'${n}' for n in range(1, len(ARGUMENTS) + 1))})"
BEGIN: Final = "SELECT * FROM ledger.begin_append($1, $2, $3, $4, $5, $6, $7)"
_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_SEPARATOR = "\x1f"


async def arguments(
    connection: "Connection",
    *commands: Sequence[Made],
    reads: Mapping[str, int] | None = None,
    **changed: Any,
) -> dict[str, Any]:
    """What `ledger.append` wants for these commands, versions as they stand or are said; then changed."""
    made = [event for command in commands for event in command]
    versions = dict(reads or {})
    for stream, _, _ in made:
        if stream not in versions:
            found = "SELECT coalesce(max(version), 0) FROM events WHERE stream = $1"
            versions[stream] = await connection.fetchval(found, stream)
    places = {stream: place for place, stream in enumerate(versions, 1)}
    usual = {
        "p_cursors": [], "p_cursor_hashes": [], "p_now_us": await connection.fetchval(_NOW),
        "p_wall_us": None, "p_witness_us": None, "p_streams": joined(versions),
        "p_versions": list(versions.values()),
        "p_keys": joined(uuid.uuid4().hex for _ in commands), "p_bodies": bytes(32) * len(commands),
        "p_counts": list(map(len, commands)), "p_places": [places[stream] for stream, _, _ in made],
        "p_types": joined(kind for _, kind, _ in made),
        "p_data": joined(json.dumps(data) for _, _, data in made),
    }  # fmt: skip
    assert tuple(usual) == ARGUMENTS
    return usual | changed


async def append(connection: "Connection", *commands: Sequence[Made], **changed: Any) -> asyncpg.Record:
    """Send them; the whole answer."""
    values = await arguments(connection, *commands, **changed)
    answer = await connection.fetchrow(CALL, *values.values())
    assert answer is not None
    return answer


def joined(values: Any) -> str:
    return _SEPARATOR.join(map(str, values))


async def append_unknown(connection: "Connection", stream: str, kind: str = "WroteByNewer") -> None:
    """An event of a type that this version does not know, as a newer one has allowed and written it."""
    right = "INSERT INTO ledger.event_rights VALUES ($1, '', $2, false, '{neurocards_operator}')"
    await connection.execute(right + " ON CONFLICT DO NOTHING", kind, stream.partition("-")[0] + "-")
    answer = await append(connection, [(stream, kind, {})])
    assert answer["outcome"] == "ok", answer
