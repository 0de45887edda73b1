"""Reads of the log: events, states, unfinished jobs."""

from collections.abc import AsyncIterator, Sequence

from events.envelope import GENESIS, Cursor, Recorded
from events.stream_names import SALES_STREAM, account_stream, job_stream, payment_stream, promo_stream
from ledger.accounts.decider import NewEvents, StateT, expire
from ledger.accounts.state import AccountState
from ledger.commands import Command
from ledger.decider import decide, fold, streams_read
from ledger.errors import IntegrityError
from ledger.jobs.state import JobState
from ledger.log.batch import OpenJob
from ledger.log.hash_chain import require_sequence
from ledger.log.snapshots import load
from ledger.payments.state import PaymentState
from ledger.postgres import Pool
from ledger.promotions.promo_codes import PromoState
from ledger.sql import load_queries
from ledger.system.decider import SystemState

query = load_queries("ledger.log")

NOTIFY_CHANNEL = "neurocards_events"
"""LISTEN here for a hint that something was appended. A hint only: poll as well."""

PAGE_EVENTS = 1000


class LogReader:
    """The log's reader, without the append lock. Unknown streams give empty states."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @property
    def pool(self) -> Pool:
        return self._pool

    async def head(self) -> Cursor:
        """The last position and its hash; GENESIS when the log is empty."""
        row = await self._pool.fetchrow(query("head"))
        return Cursor(*row) if row else GENESIS

    async def events_after(self, position: int, limit: int = PAGE_EVENTS) -> list[Recorded]:
        return [Recorded(*row) for row in await self._pool.fetch(query("events_after"), position, limit)]

    async def events_at(self, positions: Sequence[int]) -> list[Recorded]:
        """The events that exist at these positions, in no order."""
        return [Recorded(*row) for row in await self._pool.fetch(query("events_at"), positions)]

    async def following(self, cursor: Cursor, limit: int = PAGE_EVENTS) -> list[Recorded]:
        """Events after the cursor, dense and chained, from one snapshot. Raises IntegrityError."""
        if not cursor.position:
            events = await self.events_after(0, limit)
        else:
            events = await self.events_after(cursor.position - 1, limit + 1)
            if not events or events[0].cursor != cursor:
                await self.check(cursor)  # says what is wrong
                raise IntegrityError(f"the log changed at position {cursor.position} while it was read")
            del events[0]
        require_sequence(cursor, events)
        return events

    async def scan(self, position: int = 0, page: int = PAGE_EVENTS) -> AsyncIterator[Recorded]:
        """All events after `position`, page by page, to the current head."""
        while events := await self.events_after(position, page):
            for event in events:
                yield event
            position = events[-1].position

    async def stream(self, stream: str) -> list[Recorded]:
        return [Recorded(*row) for row in await self._pool.fetch(query("stream"), stream)]

    async def check(self, cursor: Cursor) -> None:
        """Raise IntegrityError unless the log still holds what the cursor saw."""
        if cursor == GENESIS:
            return
        stored = await self._pool.fetchval("SELECT hash FROM events WHERE position = $1", cursor.position)
        if stored != cursor.hash:
            found = "is gone" if stored is None else "has another hash"
            raise IntegrityError(
                f"the log went back in time: position {cursor.position} was seen before and {found}; "
                "stop and run `neurocards recover`"
            )

    async def job(self, job: str) -> JobState:
        return (await self.jobs([job]))[0]

    async def jobs(self, jobs: Sequence[str]) -> list[JobState]:
        """Several jobs in this order, from one statement; see `job`."""
        states = {job_stream(job): JobState() for job in jobs}
        for stream, kind, data in await self._pool.fetch(query("streams"), list(states)):
            state = fold(states[stream], kind, data)
            assert isinstance(state, JobState)
            states[stream] = state
        return [states[job_stream(job)] for job in jobs]

    async def account(self, account: str) -> AccountState:
        """The account now, without expired credits, booked or not."""
        state = await self._state(account_stream(account), AccountState)
        if any(lot.expires_at_us is not None for lot in state.lots):
            now_us = await self._pool.fetchval(query("clock"))
            _, state = expire(state, account, now_us)
        return state

    async def payment(self, payment: str) -> PaymentState:
        return await self._state(payment_stream(payment), PaymentState)

    async def promo(self, code: str) -> PromoState:
        return await self._state(promo_stream(code), PromoState)

    async def sales(self) -> SystemState:
        return await self._state(SALES_STREAM, SystemState)

    async def _state(self, stream: str, kind: type[StateT]) -> StateT:
        state = (await load(self._pool, [stream]))[stream][1]
        assert isinstance(state, kind)
        return state

    async def decided(self, command: Command) -> NewEvents:
        """What the command would append now. Raises RejectedError."""
        states = await load(self._pool, streams_read(command))
        view = {stream: state for stream, (_, state) in states.items()}
        return decide(view, command, await self._pool.fetchval(query("clock")))

    async def open_jobs(self, after: int = 0, up_to: int | None = None, limit: int = 1000) -> list[OpenJob]:
        """Unfinished jobs queued after a position (and up to another), in order."""
        rows = await self._pool.fetch(query("open_jobs"), after, 2**62 if up_to is None else up_to, limit)
        return [OpenJob(*row) for row in rows]
