"""Looks up what came before a page in streams where a projection needs it, in the log itself."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from events.codec import Event, decode_data
from ledger.sql import load_queries
from projections.engine.projection import AnyProjection, Change, ManyRows, OnePerStream, Read

if TYPE_CHECKING:
    from projections.reports.log_position import Reader

query = load_queries("projections.engine")


async def load_earlier_events(
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
    """What a page of the log changes. Raises UnknownEventTypeError and CodecError."""
    if isinstance(projection, OnePerStream):
        return projection.changes_in(page)
    reads = projection.read(page)
    return projection.changes(reads, await load_earlier_events(reader, projection, reads))
