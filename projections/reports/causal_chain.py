"""Finds what an id names and reads everything that led to it and followed from it.

By indexes only: a job's stream, charge and refund, an order's idempotency key, a payment's stream and
reference, an account's grants.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from events.account import CreditsCharged, CreditsExpired, CreditsGranted, CreditsRevoked
from events.codec import decode
from events.envelope import Recorded
from events.stream_names import account_stream, job_of, payment_of
from ledger.sql import load_queries
from projections.engine.errors import NothingOfThatNameError
from projections.reports.explain import Chain, Kind, Message, chain_of

if TYPE_CHECKING:
    from projections.reports.log_position import Reader

query = load_queries("projections.reports")

ID_CHARS_MAX = 190
JOBS_MAX = 50
"""Of one payment or grant; an order has no more than this."""

_POSITION_DIGITS_MAX = 18


async def explain(reader: "Reader", name: str) -> Chain:
    """The chain of a job, order, payment, charge or position; a payment by our id or the provider's.

    Raises NothingOfThatNameError.
    """
    name = name.strip()
    if not 0 < len(name) <= ID_CHARS_MAX:
        raise NothingOfThatNameError(f"an id has 1 to {ID_CHARS_MAX} characters")
    if name.isascii() and name.isdigit() and name == str(int(name[:_POSITION_DIGITS_MAX])):
        found = await _events(reader, "event_at", int(name))
        if found:
            return await _of_event(reader, found[0])
    if jobs := await _events(reader, "explain_jobs", [name]):
        return await _of_jobs(reader, "job", name, jobs)
    if jobs := await _events(reader, "explain_jobs", await _jobs_of_order(reader, name)):
        return await _of_jobs(reader, "order", name, jobs)
    if paid := await _events(reader, "explain_payment", name):
        return await _of_grants(reader, "payment", name, paid)
    hint = ""
    if await reader.fetchval("SELECT EXISTS (SELECT FROM events WHERE stream = $1)", account_stream(name)):
        hint = "; it is an account: try `neurocards ledger statement`"
    raise NothingOfThatNameError(f"no job, order, payment or position is called {name!r}{hint}")


async def _of_event(reader: "Reader", recorded: Recorded) -> Chain:
    event, name = decode(recorded), str(recorded.position)
    job = job_of(recorded.stream) or getattr(event, "job", None)
    if job is not None:
        jobs = [recorded, *await _events(reader, "explain_jobs", [job])]
        kind: Kind = "charge" if isinstance(event, CreditsCharged) else "job"
        return await _of_jobs(reader, kind, name if kind == "charge" else job, jobs)
    if (payment := payment_of(recorded.stream)) is not None:
        return await _of_grants(reader, "payment", payment, await _events(reader, "explain_payment", payment))
    if isinstance(event, CreditsGranted):
        return await _of_grants(reader, "grant", name, [recorded, *await _payments(reader, [recorded])])
    events = [recorded]
    if isinstance(event, CreditsRevoked) and event.reference is not None:
        events += await _events(reader, "explain_payment", event.reference)
    return chain_of("event", name, [*events, *await _grants(reader, events)])


async def _of_jobs(reader: "Reader", kind: Kind, name: str, events: list[Recorded]) -> Chain:
    """Whole jobs with the grants that paid for them, and those grants' payments."""
    grants = await _grants(reader, events)
    events = [*events, *grants, *await _payments(reader, grants)]
    return chain_of(kind, name, events, await _messages(reader, _jobs(events)))


async def _of_grants(reader: "Reader", kind: Kind, name: str, events: list[Recorded]) -> Chain:
    """Grants with all that was drawn from them: whole jobs, revocations, expiries."""
    drawn: list[Recorded] = []
    for recorded in events:
        event = decode(recorded)
        if isinstance(event, CreditsGranted):
            after = (recorded.stream, recorded.version, event.lot, JOBS_MAX * 4)
            drawn += await _events(reader, "explain_drawn", *after)
    jobs = _jobs(drawn)
    left_out = max(len(jobs) - JOBS_MAX, 0)
    shown = set(jobs[:JOBS_MAX])
    kept = [e for e in drawn if not (isinstance(c := decode(e), CreditsCharged) and c.job not in shown)]
    kept += await _events(reader, "explain_jobs", list(shown))
    return chain_of(
        kind, name, [*events, *kept, *await _grants(reader, kept)], await _messages(reader, shown), left_out
    )


async def _grants(reader: "Reader", events: Sequence[Recorded]) -> list[Recorded]:
    """The grants whose lots these events drew from."""
    lots: dict[str, set[int]] = {}
    for recorded in events:
        event = decode(recorded)
        if isinstance(event, CreditsCharged | CreditsRevoked):
            lots.setdefault(recorded.stream, set()).update(part.lot for part in event.parts)
        elif isinstance(event, CreditsExpired):
            lots.setdefault(recorded.stream, set()).add(event.lot)
    found: list[Recorded] = []
    for stream, numbers in lots.items():
        found += await _events(reader, "explain_lots", stream, sorted(numbers))
    return found


async def _payments(reader: "Reader", grants: Iterable[Recorded]) -> list[Recorded]:
    """The payments that these grants name, as far as they are in the log."""
    found: list[Recorded] = []
    for reference in dict.fromkeys(getattr(decode(grant), "reference", None) for grant in grants):
        if reference is not None:
            found += await _events(reader, "explain_payment", reference)
    return [recorded for recorded in found if payment_of(recorded.stream) is not None]


async def _jobs_of_order(reader: "Reader", order: str) -> list[str]:
    return [row["job"] for row in await reader.fetch(query("explain_order"), order)]


async def _messages(reader: "Reader", jobs: Iterable[str]) -> list[Message]:
    return [Message(*row) for row in await reader.fetch(query("explain_messages"), list(jobs))]


async def _events(reader: "Reader", name: str, *arguments: object) -> list[Recorded]:
    return [Recorded(*row) for row in await reader.fetch(query(name), *arguments)]


def _jobs(events: Iterable[Recorded]) -> list[str]:
    """The jobs these events belong to, in order."""
    found = (job_of(event.stream) or getattr(decode(event), "job", None) for event in events)
    return list(dict.fromkeys(job for job in found if job is not None))
