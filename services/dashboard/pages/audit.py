"""`/audit`: signed notes, integrity runs, who did what, exceptions, and who may read."""

from typing import Any, Final

import msgspec
from aiohttp import web

from events.stream_names import account_stream
from ledger.checkpoints.proof import encode, prove
from ledger.checkpoints.store import newest_checkpoint
from ledger.errors import IntegrityError
from projections.checkpoints import covering_note
from projections.reports import audit_questions
from projections.reports.event_text import describe_stored
from projections.reports.journal import ACTED
from projections.reports.log_position import NOW, AsOf
from services.dashboard.actions import names_of
from services.dashboard.event_search import query
from services.dashboard.figures import Figure, Filter
from services.dashboard.routes import Route
from services.dashboard.visit import Visit
from services.recovery.checkpoint_files import query as notes_query

SHOWN: Final = 100
NOTES_SHOWN: Final = 20
RUNS_SHOWN: Final = 20
ABOVE: Final = 50
NEWEST: Final = 400
"""Of grants, and of revocations, that the page looks at; the download looks at all."""
ACTED_POSITIONS: Final = 1500
_TOLD: Final = ("events", "found")


async def audit(visit: Visit) -> web.Response:
    """Signed notes, and runs of verification with what they found."""
    found = bool(visit.choice("runs", ("found",)))
    rows = await visit.pool.fetch(query("verified"), visit.int_arg("before"), found, RUNS_SHOWN)
    return await visit.render(
        "audit.html",
        notes=await visit.pool.fetch(notes_query("notes_listed"), NOTES_SHOWN),
        runs=[_run(row) for row in rows], found=found,
        next=rows[-1]["number"] if len(rows) == RUNS_SHOWN else None,
    )  # fmt: skip


def _run(row: Any) -> dict[str, Any]:
    told = {name: Figure(row[name], source="verification_runs", at_us=row["ended_us"]) for name in _TOLD}
    return dict(row) | told | {"report": msgspec.json.decode(row["report"])}


async def note(visit: Visit) -> web.Response:
    """The checkpoint's note of a size, with who cosigned it."""
    size = visit.integer("size", visit.part("size"))
    found = await newest_checkpoint(visit.pool, at_least=size, at_most=size)
    if found is None:
        return await visit.render("missing.html", status=404, what=str(size))
    return attachment(found.note, f"checkpoint-{size}.note", "text/plain")


async def proof(visit: Visit) -> web.Response:
    """Proof of a position under the newest checkpoint, as `neurocards ledger prove`."""
    position = visit.integer("position", visit.part("position"))
    try:
        under = await covering_note(visit.pool, position)
        text = encode(under, await prove(visit.pool, [position], under))
    except IntegrityError as error:
        raise web.HTTPConflict(text=str(error)) from None
    return attachment(text, f"proof-{position}.json", "application/json")


def attachment(text: str, name: str, content_type: str) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(text=text, headers=headers, content_type=content_type)


async def actions(visit: Visit) -> web.Response:
    """Actions of one actor, or else the newest of all people."""
    actor = visit.arg("actor")
    if actor:
        rows = await audit_questions.actions(visit.pool, actor, *period(visit), SHOWN, visit.texts)
    else:
        found = await visit.pool.fetch(query("acted_last").format(acted=ACTED), ACTED_POSITIONS, SHOWN)
        rows = [
            {
                "at_us": row["recorded_at_us"],
                "position": row["position"],
                "actor": row["actor"],
                "what": row["type"],
            }
            | {"of": row["stream"], "words": describe_stored(row["type"], row["data"], visit.texts)}
            for row in found
        ]
    names = await names_of(visit, {actor, *(row.get("actor") or "" for row in rows)})
    return await visit.render("actions.html", actor=actor, rows=rows, names=names)


async def exceptions(visit: Visit) -> web.Response:
    """What to look at first."""
    above = visit.int_arg("above", ABOVE) or ABOVE
    rows = await audit_questions.exceptions(visit.pool, above, *period(visit), SHOWN, NEWEST)
    return await visit.render("exceptions.html", above=above, rows=[_exception(row) for row in rows])


def _exception(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its amount as a figure."""
    unit, at = row["unit"].removesuffix(" minor"), Filter(positions=(row["position"],))
    match row["kind"]:
        case "flagged_money":
            amount = Figure(row["amount"], "minor", of=at, measure="money", currency=unit)
        case "grant":
            amount = Figure(row["amount"], "credits", of=at, measure="amount")
        case "self_approved":
            proposed = Filter(
                ("ChangeProposed",), account_stream(row["account"]), where=(("change", row["of"]),)
            )
            amount = Figure(row["amount"], "credits", of=proposed, measure="amount")
        case "refunded_and_delivered":
            queued = Filter(types=("JobQueued",), job=row["of"])
            amount = Figure(row["amount"], "credits", of=queued, measure="price")
        case "debt":
            until = Filter(stream=account_stream(row["account"]), position=row["position"])
            amount = Figure(row["amount"], "credits", of=until, measure="debt")
        case _:
            amount = Figure(row["amount"], "credits", of=at, measure="uncovered")
    return row | {"amount": amount}


async def access(visit: Visit) -> web.Response:
    """Who may log in to the database, and who read whose data."""
    read = await audit_questions.reads(visit.pool, visit.arg("account") or None, *period(visit), SHOWN)
    return await visit.render("access.html", logins=await audit_questions.logins(visit.pool), reads=read)


def period(visit: Visit) -> tuple[AsOf | None, AsOf]:
    """`from` and `to`, as the command line has them. Raises BadArgumentError."""
    start, end = visit.moment("from"), visit.moment("to", ends=True)
    return None if start is NOW else start, end


ROUTES = (
    Route("GET", "/audit", audit),
    Route("GET", "/audit/notes/{size}", note),
    Route("GET", "/audit/actions", actions),
    Route("GET", "/audit/exceptions", exceptions),
    Route("GET", "/audit/access", access),
    Route("GET", "/events/{position}/proof", proof),
)
