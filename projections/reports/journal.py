"""Journal: events by type, account, job, payment and position."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from events.account import CreditEvent
from events.codec import EVENT_TYPES, decode
from events.envelope import Recorded
from events.stream_names import account_of, account_stream, job_of
from ledger.postgres import Reader
from ledger.sql import load_queries
from projections.engine.errors import NothingOfThatNameError
from projections.reports.balance_as_of import require_account
from projections.reports.event_text import describe
from projections.reports.log_position import NOW, AsOf, locate

query = load_queries("projections.reports")


PROCESSES: Final = ", ".join(f"'neurocards_{p}'" for p in ("web", "bot", "worker", "monitor", "maintenance"))
"""Logins whose appends are most of the log: the index `events_writer` leaves them out."""
ACTED: Final = ", ".join(f"'{name}'" for name, cls in EVENT_TYPES.items() if hasattr(cls, "actor"))
"""Types whose events say who caused them; the index `events_actor` has the same."""
_FILTER: Final = query("journal_filter").format(acted=ACTED, processes=PROCESSES)


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
    kind: str | None = None
    actor: str | None = None
    least: int | None = None
    """Credits."""
    reason: str | None = None
    """Words that stand in it, in any case."""


class Entry(msgspec.Struct, frozen=True):
    recorded: Recorded
    stage: str
    what: str
    account: str | None
    job: str | None
    unit: str | None
    """Of its amounts: `credits`, or a currency's smallest unit like `RUB minor`."""


async def journal(reader: Reader, wanted: Filter) -> tuple[list[Entry], bool]:
    """Entries in order, and whether there are more. Raises UnknownEventTypeError, NotInLogError."""
    first = 1 if wanted.start is None else (await locate(reader, wanted.start.before())).position + 1
    last = (await locate(reader, wanted.end)).position
    limit, order = wanted.limit + 1, "DESC" if wanted.newest else "ASC"
    among: str = ""
    asked: list[object] = []
    if wanted.job is not None or wanted.payment is not None:
        among, asked = "position = ANY ($9::bigint[]) AND", [await _narrow(reader, wanted)]
    elif wanted.account is not None:
        await require_account(reader, wanted.account)
        rows = await reader.fetch(query("journal_account"), account_stream(wanted.account))
        among, asked = "stream = ANY ($9::text[]) AND", [[row["stream"] for row in rows]]
    sql = query("journal").format(order=order, among=among, filter=_FILTER)
    types = list(wanted.types) or None
    conditions = (wanted.kind, wanted.actor, wanted.least, wanted.reason)
    events = await recorded(reader, sql, first, last, types, limit, *conditions, *asked)
    kept = sorted(events[: wanted.limit], key=lambda e: e.position)
    return await entries(reader, kept), len(events) > wanted.limit


async def recorded(reader: Reader, sql: str, *arguments: object) -> list[Recorded]:
    return [Recorded(*row) for row in await reader.fetch(sql, *arguments)]


async def entries(reader: Reader, events: Sequence[Recorded]) -> list[Entry]:
    """These events, with whose they are and what they say."""
    owned = list({event.stream for event in events if account_of(event.stream) is None})
    owners = {row["stream"]: row["account"] for row in await reader.fetch(query("owners"), owned)}
    return [_entry(event, owners) for event in events]


async def _narrow(reader: Reader, wanted: Filter) -> list[int]:
    """Positions of a job's and a payment's events."""
    found: dict[int, Recorded] | None = None
    for name, words, argument in (
        ("explain_jobs", f"job {wanted.job!r}", None if wanted.job is None else [wanted.job]),
        ("explain_payment", f"payment {wanted.payment!r}", wanted.payment),
    ):
        if argument is None:
            continue
        rows = await recorded(reader, query(name), argument)
        if not rows:
            raise NothingOfThatNameError(f"there is no {words}")
        found = {e.position: e for e in rows if found is None or e.position in found}
    own = {account_of(e.stream) for e in (found or {}).values()} - {None}
    return list(found or {}) if wanted.account is None or own == {wanted.account} else []


def _entry(recorded: Recorded, owners: Mapping[str, str | None]) -> Entry:
    event = decode(recorded)
    currency = getattr(event, "currency", "")
    return Entry(
        recorded,
        event.stage,
        describe(event),
        account_of(recorded.stream) or owners.get(recorded.stream),
        job_of(recorded.stream) or getattr(event, "job", None),
        "credits" if isinstance(event, CreditEvent) else f"{currency} minor" if currency else None,
    )
