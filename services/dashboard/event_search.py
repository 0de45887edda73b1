"""Search of events by a figure's filter, with bounded reads.

Streams and seldom types are found by an index. Everything else is looked for in windows of positions, the
newest first: a page scans one and says where to go on.
"""

from collections import defaultdict
from typing import Final

import asyncpg
import msgspec
from msgspec.structs import replace

from events.codec import decode
from events.envelope import Recorded
from events.stream_names import job_stream, payment_stream
from ledger.postgres import Reader
from ledger.sql import load_queries
from projections.models.statistics import DAILY, ERROR_STATS, spread_day, spread_failure
from projections.reports.journal import ACTED
from projections.reports.journal import query as reports_query
from services.dashboard.figures import Filter, value_at

query = load_queries("services.dashboard")

WINDOW: Final = 1900
"""Rows that a page reads at most of the log, beside some that find the place."""
NARROW: Final = 900
"""Of them, where what was before each event is looked up, of LOOKED_UP at most."""
LOOKED_UP: Final = 50
SHOWN: Final = 200
RECALLED: Final = sorted({*DAILY.recalls, *ERROR_STATS.recalls})
SELDOM: Final = frozenset({"CreditsGranted", "CreditsRevoked", "PaymentFlagged", "VideoGifted"})


class Found(msgspec.Struct, frozen=True):
    """The newest events first. `next_position`: where to look on; None: that was all.

    `first`, `last`: the positions that the filter speaks of; `head`: the log's end.
    """

    events: tuple[Recorded, ...]
    next_position: int | None
    first: int
    last: int
    head: int

    @property
    def whole(self) -> bool:
        return self.next_position is None


async def search(reader: Reader, wanted: Filter, before: int | None = None) -> Found:
    """Search events up to `before`, reading at most WINDOW rows."""
    found = await _search(reader, wanted, before)
    if not wanted.counted:
        return found
    events, more = found.events[:LOOKED_UP], found.next_position
    if len(found.events) > LOOKED_UP:
        more = events[-1].position - 1
    return replace(found, events=await _counted(reader, events, wanted), next_position=more)


async def _search(reader: Reader, wanted: Filter, before: int | None) -> Found:
    row = await reader.fetchrow(query("positions_between"), wanted.since_us, wanted.until_us)
    assert row is not None
    first, head = row["first"], row["head"]
    last = min(row["last"], head if wanted.position is None else wanted.position)
    top = last if before is None else min(last, before)
    types, most = list(wanted.types) or None, WINDOW
    streams = _streams(wanted)
    if wanted.positions:
        within = [position for position in wanted.positions if first <= position <= top]
        rows = await reader.fetch(reports_query("events_at"), within, list(wanted.types))
        rows.sort(key=lambda row: -row["position"])
    elif streams:
        rows = await reader.fetch(query("events_of_streams"), streams, first, top, types, WINDOW)
    elif wanted.actor:
        sql = query("events_of_actor").format(acted=ACTED)
        rows = await reader.fetch(sql, wanted.actor, first, top, types, WINDOW)
    elif types and SELDOM.issuperset(types):
        most = WINDOW // len(types)  # of each as many, so that the newest of all are among them
        rows = await reader.fetch(query("events_seldom"), types, first, top, most)
    else:
        low = max(first, top - (NARROW if wanted.counted else WINDOW) + 1)
        rows = await reader.fetch(query("events_window"), low, top, types)
        return Found(_keep(rows, wanted), low - 1 if low > first else None, first, last, head)
    more = rows[-1]["position"] - 1 if len(rows) == most and rows[-1]["position"] > first else None
    return Found(_keep(rows, wanted), more, first, last, head)


def _streams(wanted: Filter) -> list[str]:
    """Streams that the filter names."""
    if wanted.stream:
        return [wanted.stream]
    kinds = ((job_stream, wanted.job), (payment_stream, wanted.payment))
    return [stream_of(name) for stream_of, name in kinds if name]


def _keep(rows: "list[asyncpg.Record]", wanted: Filter) -> tuple[Recorded, ...]:
    found = (Recorded(*row) for row in rows)
    return tuple(recorded for recorded in found if not wanted.where or _fits(recorded, wanted))


async def _counted(reader: Reader, found: tuple[Recorded, ...], wanted: Filter) -> tuple[Recorded, ...]:
    """Those that statistics count as is wanted."""
    streams = list({recorded.stream for recorded in found})
    earlier: dict[str, list[Recorded]] = defaultdict(list)
    for row in await reader.fetch(
        query("events_of_streams"), streams, 1, found[0].position if found else 0, RECALLED, WINDOW
    ):
        earlier[row["stream"]].insert(0, Recorded(*row))
    return tuple(recorded for recorded in found if _counts(recorded, earlier[recorded.stream], wanted))


def _counts(recorded: Recorded, stream: list[Recorded], wanted: Filter) -> bool:
    event, before = decode(recorded), [decode(e) for e in stream if e.position < recorded.position]
    counted = (*spread_failure(recorded, event, before), *spread_day(recorded, event, before))
    facts = [msgspec.to_builtins(each) for _, each in counted]
    return any(all(value_at(each, name) == value for name, value in wanted.counted) for each in facts)


def _fits(recorded: Recorded, wanted: Filter) -> bool:
    data = msgspec.json.decode(recorded.data)
    return all(value_at(data, name) == value for name, value in wanted.where)
