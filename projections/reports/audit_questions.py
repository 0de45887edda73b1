"""Questions of an auditor about facts: who did what, what is unusual, who may log in, who read what."""

from collections.abc import Iterator
from gettext import NullTranslations
from hashlib import sha256
from itertools import islice
from typing import Any, Final

from events.envelope import Recorded
from ledger.postgres import Reader
from ledger.sql import load_queries
from projections.reports.event_text import ENGLISH, describe_stored
from projections.reports.journal import ACTED, PROCESSES, recorded
from projections.reports.log_position import AsOf, locate

query = load_queries("projections.reports")

Rows = list[dict[str, Any]]

DRAWS_MAX: Final = 200_000
"""Of a sample; where it is of a seldom type, most are in vain."""
_DRAWS_AT_ONCE: Final = 2_000


async def actions(
    reader: Reader, actor: str, start: AsOf | None, end: AsOf, limit: int, texts: NullTranslations = ENGLISH
) -> Rows:
    """What `login:NAME` or `account:ID` caused, appended, paused and read; the newest first."""
    positions, times = await _bounds(reader, start, end)
    sql = query("acted").format(acted=ACTED, processes=PROCESSES)
    rows: Rows = [
        {"at_us": e.recorded_at_us, "position": e.position, "what": e.type}
        | {"of": e.stream, "words": describe_stored(e.type, e.data, texts)}
        for e in await recorded(reader, sql, actor, *positions, limit)
    ]
    login = actor.removeprefix("login:")
    rows += map(dict, await reader.fetch(query("actions_beside"), actor, login, *times, limit))
    return sorted(rows, key=lambda row: int(row["at_us"]), reverse=True)[:limit]


async def exceptions(
    reader: Reader, above: int, start: AsOf | None, end: AsOf, limit: int, newest: int | None = None
) -> Rows:
    """Large grants without a purchase, odd refunds and money, debts; `limit` of each kind.

    Of the `newest` grants and revocations; None: of all.
    """
    asked = await exceptions_query(reader, above, start, end, limit, newest)
    return [*map(dict, await reader.fetch(*asked))]


async def exceptions_query(
    reader: Reader, above: int, start: AsOf | None, end: AsOf, limit: int, newest: int | None = None
) -> tuple[Any, ...]:
    """Statement of `exceptions` and its arguments."""
    positions, _ = await _bounds(reader, start, end)
    return query("exceptions"), above, *positions, limit, newest


async def logins(reader: Reader) -> Rows:
    """Every login that may connect, as Postgres and what it wrote tell."""
    return [*map(dict, await reader.fetch(query("logins").format(processes=PROCESSES)))]


async def reads(reader: Reader, account: str | None, start: AsOf | None, end: AsOf, limit: int) -> Rows:
    """Who looked at whose data, the newest first."""
    _, times = await _bounds(reader, start, end)
    return [*map(dict, await reader.fetch(query("reads"), *times, account, limit))]


async def _bounds(reader: Reader, start: AsOf | None, end: AsOf) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last that count, as positions and as epoch microseconds."""
    until = await locate(reader, end)
    if start is None:
        return (1, until.position), (0, until.time_us)
    before = await locate(reader, start.before())
    return (before.position + 1, until.position), (before.time_us + 1, until.time_us)


def draws(seed: str, size: int) -> Iterator[int]:
    """Positions by chance, each once.

    They are 1 + SHA-256(`seed:n`) mod `size` for n = 1, 2, …
    """
    seen: set[int] = set()
    for number in range(1, DRAWS_MAX + 1) if size else ():
        position = 1 + int.from_bytes(sha256(f"{seed}:{number}".encode()).digest()) % size
        if position not in seen:
            seen.add(position)
            yield position


async def sample(reader: Reader, seed: str, count: int, size: int, types: tuple[str, ...]) -> list[Recorded]:
    """The first `count` events drawn, in drawn order.

    Drawn are positions up to `size`. Those of other than the `types`, if any are given, are passed over.
    """
    found: list[Recorded] = []
    drawn = draws(seed, size)
    while len(found) < count and (positions := list(islice(drawn, _DRAWS_AT_ONCE))):
        events = await recorded(reader, query("events_at"), positions, list(types))
        by_position = {event.position: event for event in events}
        found += [by_position[position] for position in positions if position in by_position]
    return found[:count]
