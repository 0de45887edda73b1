"""`/events`: the log by type, time, stream and field.

Every figure of the log leads here, with its measure: the sum over the events is shown beside the figure.
"""

from hashlib import sha256

import msgspec
from aiohttp import web

from events.codec import EVENT_TYPES
from events.envelope import GENESIS_HASH
from events.errors import CodecError
from ledger.checkpoints.store import newest_checkpoint
from ledger.log.hash_chain import follows
from ledger.log.reader import LogReader
from projections.reports.event_text import describe_stored
from projections.reports.journal import entries
from services.dashboard.event_search import SHOWN, search
from services.dashboard.figures import MEASURES, MEASURES_WITH, SPAN, Filter, measured
from services.dashboard.routes import Route
from services.dashboard.visit import BadArgumentError, Visit

NEIGHBOURS = 3


def filter_of(visit: Visit) -> Filter:
    """The filter that an address asks for. Raises BadArgumentError."""
    types = visit.args("type")
    if unknown := set(types) - set(EVENT_TYPES):
        raise BadArgumentError("type", f"there is no event {sorted(unknown)[0]!r}")
    return Filter(
        types=types,
        stream=visit.arg("stream"),
        job=visit.arg("job"),
        payment=visit.arg("payment"),
        actor=visit.arg("actor"),
        since_us=visit.time_us_arg("since_us"),
        until_us=visit.time_us_arg("until_us"),
        position=visit.int_arg("position"),
        where=_pairs(visit, "where"),
        counted=_pairs(visit, "counted"),
        positions=tuple(visit.integer("at", text) for text in visit.args("at")),
    )


def _pairs(visit: Visit, name: str) -> tuple[tuple[str, str], ...]:
    return tuple((key, value) for key, _, value in (text.partition("=") for text in visit.args(name)))


async def events(visit: Visit) -> web.Response:
    wanted = filter_of(visit)
    measure = visit.arg("measure", "count")
    found = await search(visit.pool, wanted, visit.int_arg("before"))
    shown = [(row, describe_stored(row.type, row.data, visit.texts)) for row in found.events[:SHOWN]]
    try:
        made = measured(measure, found.events[::-1])
    except CodecError:
        made = None
    except KeyError:
        raise BadArgumentError(
            "measure", f"one of {', '.join((*MEASURES, *MEASURES_WITH, SPAN))} is wanted"
        ) from None
    return await visit.render(
        "events.html", wanted=wanted, found=found, shown=shown, measure=measure, total=made,
        figure=visit.arg("is"), types=sorted(EVENT_TYPES),
    )  # fmt: skip


async def event(visit: Visit) -> web.Response:
    """One event: its row, its hash computed anew, and its neighbours."""
    text = visit.part("position")
    position = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
    around = range(max(1, position - NEIGHBOURS), position + NEIGHBOURS + 1)
    rows = {row.position: row for row in await LogReader(visit.pool).events_at(list(around))}
    if position not in rows:
        return await visit.render("missing.html", status=404, what=text)
    recorded = rows[position]
    before = rows.get(position - 1)
    return await visit.render(
        "event.html",
        event=recorded,
        entry=(await entries(visit.pool, [recorded]))[0],
        words=describe_stored(recorded.type, recorded.data, visit.texts),
        pretty=msgspec.json.format(recorded.data, indent=2),
        data_sha256=sha256(recorded.data.encode()).hexdigest(),
        before=before,
        holds=follows(before.hash if before else GENESIS_HASH, recorded),
        proved=await newest_checkpoint(visit.pool, at_least=position) is not None,
        neighbours=[rows[at] for at in sorted(rows) if at != position],
    )


ROUTES = (Route("GET", "/events", events), Route("GET", "/events/{position}", event))
