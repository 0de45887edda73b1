"""Journal: events by type, account, job, payment and position."""

from collections.abc import Mapping

import msgspec

from events.codec import decode
from events.envelope import Recorded
from events.stream_names import account_of, account_stream, job_of
from ledger.postgres import Reader
from ledger.sql import load_queries
from projections.engine.errors import NothingOfThatNameError
from projections.reports.balance_as_of import require_account
from projections.reports.event_text import describe
from projections.reports.log_position import NOW, AsOf, locate

query = load_queries("projections.reports")


class Filter(msgspec.Struct, frozen=True):
    """Conditions, all of which hold. Of more than `limit`, the first or the `newest`."""

    types: tuple[str, ...] = ()
    account: str | None = None
    job: str | None = None
    payment: str | None = None
    start: AsOf | None = None
    end: AsOf = NOW
    limit: int = 100
    newest: bool = False


class Entry(msgspec.Struct, frozen=True):
    recorded: Recorded
    stage: str
    what: str
    account: str | None
    job: str | None


async def journal(reader: Reader, wanted: Filter) -> tuple[list[Entry], bool]:
    """Entries in order, and whether there are more. Raises UnknownEventTypeError, NotInLogError."""
    first = 1 if wanted.start is None else (await locate(reader, wanted.start.before())).position + 1
    last = (await locate(reader, wanted.end)).position
    types = list(wanted.types) or None
    order = "DESC" if wanted.newest else "ASC"
    limit = wanted.limit + 1
    if wanted.job is not None or wanted.payment is not None:
        events = [
            e
            for e in await _narrow(reader, wanted)
            if first <= e.position <= last and e.type in (types or (e.type,))
        ]
        events.sort(key=lambda e: e.position, reverse=wanted.newest)
    elif wanted.account is not None:
        await require_account(reader, wanted.account)
        sql = query("journal_account").format(order=order)
        rows = await reader.fetch(sql, first, last, types, limit, account_stream(wanted.account))
        events = [Recorded(*row) for row in rows]
    else:
        rows = await reader.fetch(query("journal").format(order=order), first, last, types, limit)
        events = [Recorded(*row) for row in rows]
    kept = sorted(events[: wanted.limit], key=lambda e: e.position)
    owned = list({event.stream for event in kept if account_of(event.stream) is None})
    owners = {row["stream"]: row["account"] for row in await reader.fetch(query("owners"), owned)}
    return [_entry(event, owners) for event in kept], len(events) > wanted.limit


async def _narrow(reader: Reader, wanted: Filter) -> list[Recorded]:
    found: dict[int, Recorded] | None = None
    for name, words, argument in (
        ("explain_jobs", f"job {wanted.job!r}", None if wanted.job is None else [wanted.job]),
        ("explain_payment", f"payment {wanted.payment!r}", wanted.payment),
    ):
        if argument is None:
            continue
        rows = [Recorded(*row) for row in await reader.fetch(query(name), argument)]
        if not rows:
            raise NothingOfThatNameError(f"there is no {words}")
        found = {e.position: e for e in rows if found is None or e.position in found}
    events = list((found or {}).values())
    if wanted.account is not None:
        own = {account_of(e.stream) for e in events} - {None}
        return events if own == {wanted.account} else []
    return events


def _entry(recorded: Recorded, owners: Mapping[str, str | None]) -> Entry:
    event = decode(recorded)
    return Entry(
        recorded,
        event.stage,
        describe(event),
        account_of(recorded.stream) or owners.get(recorded.stream),
        job_of(recorded.stream) or getattr(event, "job", None),
    )
