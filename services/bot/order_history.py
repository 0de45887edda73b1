"""An account's movements, payments and jobs: from the log, but for the payments right at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import msgspec

from events.account import CreditEvent, CreditsCharged
from events.codec import decode_data
from events.stream_names import account_stream
from ledger.jobs.state import JobState
from ledger.log.reader import LogReader
from ledger.postgres import Pool
from ledger.promotions.referrals import reference
from ledger.sql import load_queries
from projections.reports.explain import Chain, explain
from services.adapters.telegram.order_labels import LineState
from services.adapters.telegram.send import UPLOAD_BYTES_MAX

query = load_queries("services.bot")

PAGE = 6
"""Operations or payments of one screen."""
JOBS_SHOWN = 5
_NEWEST = 2**62
_WELCOMES_LOCK = 7_300_011


class Operation(msgspec.Struct, frozen=True):
    """One movement of credits as a person sees it: an order of several videos is one, with its refunds."""

    event: CreditEvent
    """Its first one, at `position`."""
    position: int
    amount: int
    """Credits, above zero when they came in."""
    videos: int
    failed: int
    """So many of `videos` did not work out and were refunded."""
    reason: str
    """The error class of the last that did not."""
    at_us: int


class ShownPayment(msgspec.Struct, frozen=True):
    """One purchase; `state` as in the read model `payments`."""

    credits: int
    amount_minor: int
    currency: str
    at_us: int
    state: str


class ShownJob(msgspec.Struct, frozen=True):
    """One video in the making as a person sees it: number `number` of `of` in its order."""

    state: LineState
    style: str
    number: int
    of: int
    at_us: int


class Film(msgspec.Struct, frozen=True):
    """A video that can be had again: number `at` of `total`, the newest first.

    `file` is what Telegram calls it; empty: it never had it. `kept`: we have the file, in `blob`. `newer` and
    `older` are the positions of its neighbours; `product` is empty once the words are gone.
    """

    position: int
    late: bool
    order_id: str
    number: int
    of: int
    file: str
    blob: str
    size_bytes: int
    kept: bool
    at: int
    total: int
    newer: int | None
    older: int | None
    at_us: int
    style: str
    product: str
    repeatable: bool


class History:
    def __init__(self, pool: Pool, log: LogReader) -> None:
        self._pool = pool
        self._log = log
        self._welcomes: tuple[int, int | None, int] = (0, None, 0)
        """Of a day: the grant it is counted up to, and the credits."""
        self._welcoming = asyncio.Lock()

    async def operations(self, account: str, page: int = 0, size: int = PAGE) -> tuple[list[Operation], int]:
        """One page of movements, newest first, and how many there are."""
        rows = await self._pool.fetch(query("operations"), account_stream(account), size, page * size)
        found = [
            Operation(
                cast(CreditEvent, decode_data(row["type"], row["data"], row["position"])),
                *(row[name] for name in ("position", "amount", "videos", "failed", "reason", "at_us")),
            )
            for row in rows
        ]
        return found, rows[0]["total"] if rows else 0

    async def payments(self, account: str, page: int = 0) -> tuple[list[ShownPayment], int]:
        rows = await self._pool.fetch(query("payments"), account, PAGE, page * PAGE)
        return [ShownPayment(*tuple(row)[:5]) for row in rows], rows[0]["total"] if rows else 0

    async def friends(self, account: str) -> tuple[int, int]:
        """Friends who have begun, and the credits they brought."""
        row = await self._pool.fetchrow(query("friends"), account_stream(account), reference(account))
        assert row is not None
        return row["friends"], row["credits"]

    async def spent(self, account: str, position: int) -> Chain | None:
        """What led to a movement of this account and what followed; None: there is no such movement."""
        row = await self._pool.fetchrow(query("operation_at"), account_stream(account), position)
        if row is None:
            return None
        event = decode_data(row["type"], row["data"], position)
        return await explain(self._pool, event.order if isinstance(event, CreditsCharged) else str(position))

    @asynccontextmanager
    async def welcomes_turn(self) -> AsyncIterator[None]:
        """Hold this while welcomes are counted and one is given."""
        async with self._welcoming, self._pool.acquire() as connection, connection.transaction():
            await connection.execute(query("welcomes_lock"), _WELCOMES_LOCK)
            yield

    async def sent_again(self, telegram_id: int) -> int:
        """Count a video sent again; how many within this hour."""
        return int(await self._pool.fetchval(query("chat_sent_again"), telegram_id))

    async def welcomes_since(self, day: int) -> int:
        """Welcome credits given since a day began, in days since 1970. One caller at a time."""
        seen, position, credits = self._welcomes
        if day != seen or (await self._log.head()).position < (position or 0):
            position, credits = None, 0
        row = await self._pool.fetchrow(query("welcomes_since"), day, position)
        assert row is not None
        self._welcomes = (day, row["position"] or position, credits + int(row["credits"]))
        return self._welcomes[2]

    async def film(self, account: str, position: int) -> Film | None:
        """The video at a position (0: the newest), or the next older one; None: there is no video."""
        for at in (position or _NEWEST, _NEWEST):
            if row := await self._pool.fetchrow(query("video_at"), account, at, UPLOAD_BYTES_MAX):
                return Film(*row)
        return None

    async def keep_file(self, account: str, position: int, file: str) -> None:
        await self._pool.execute(query("video_file"), account, position, file)

    async def job_names(self, account: str) -> list[str]:
        rows = await self._pool.fetch(query("last_jobs"), account_stream(account), JOBS_SHOWN)
        return [job for job, _ in rows]

    async def jobs(self, account: str) -> list[ShownJob]:
        """Those of the last JOBS_SHOWN that are in the making."""
        rows = await self._pool.fetch(query("last_jobs"), account_stream(account), JOBS_SHOWN)
        shown = []
        for job, at_us in rows:
            state = await self._log.job(job)
            if state.queued is not None and not state.outcome:
                queued = state.queued
                shown.append(ShownJob(line_state(state), queued.style, queued.number, queued.of, at_us))
        return shown


def line_state(job: JobState) -> LineState:
    """Of one that has not ended."""
    if job.submissions:
        return "rendering"
    return "writing" if job.run else "queued"
