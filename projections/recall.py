"""Looks up what came before a page in streams where a projection needs it, in the log itself."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from events.codec import Event, decode_data
from projections.projection import AnyProjection, Change, ManyRows, OnePerStream, Read
from projections.sql import query

if TYPE_CHECKING:
    from projections.moments import Reader


async def recall(
    reader: "Reader", projection: AnyProjection, reads: Sequence[Read]
) -> dict[str, list[Event]]:
    """The earlier events of the streams that the page's events cannot be understood without.

    One query for all of them, none when there are none. Raises CodecError.
    """
    lacking = projection.lacking(reads)
    if not lacking or not isinstance(projection, ManyRows):
        return {}
    names, versions, types = list(lacking), list(lacking.values()), sorted(projection.recalls)
    found: dict[str, list[Event]] = {}
    for stream, name, data, position in await reader.fetch(query("recall"), names, versions, types):
        found.setdefault(stream, []).append(decode_data(name, data, position))
    return found


async def changes_of(reader: "Reader", projection: AnyProjection, page: Sequence[Any]) -> list[Change]:
    """What a page of the log changes. Raises UnknownEventType and CodecError."""
    if isinstance(projection, OnePerStream):
        return projection.changes_in(page)
    reads = projection.read(page)
    return projection.changes(reads, await recall(reader, projection, reads))
