"""Append pipeline: the next batch is decided while one is written.

The next batch's BEGIN follows in the same message, and its commands are decided meanwhile, on the states that
the first leaves behind. Under the lock it is checked that nothing has come between: the head is the first
batch's last event, no key has been used, and the clock has hardly moved (the events get the time read for the
first batch). Otherwise they are decided again.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import structlog

from events.envelope import Cursor
from ledger.accounts.state import AccountState
from ledger.decider import State
from ledger.errors import LedgerError
from ledger.log.append_connection import AppendConnection, HeadRead
from ledger.log.batch import Answer, BatchDecider, Decided, Pending, UsedKey, answer_of
from ledger.log.cache import StreamCache
from ledger.log.pg_pipeline import Results
from ledger.log.snapshots import PAGE_EVENTS, Snapshot, States, folded, is_due, load

logger = structlog.get_logger()

HOLD_S = 0.006
"""A batch keeps the lock about so long at most, so that a busy process does not starve a quiet one."""

_ROWS_MIN, _ROWS_MAX = 128, 4096
_GUESS_US_MAX = 50_000
"""Events of a batch that was decided ahead may be stamped so much too early, no more."""


class InFlightBatch(NamedTuple):
    """Batch being written; `now_us` is the time read under its lock."""

    batch: Sequence[Pending]
    decided: Decided
    now_us: int
    locked_at_s: float
    committed: "asyncio.Future[Results]"


class BatchWriter:
    """Writes batches over one connection, at most two in flight. `land` gets each durable one."""

    def __init__(self, database_url: str, role: str | None, land: Callable[[InFlightBatch], None]) -> None:
        self._database_url = database_url
        self._role = role
        self._land = land
        self._cache = StreamCache()
        self._connection: AppendConnection | None = None
        self._row_s = HOLD_S / _ROWS_MAX
        self._to_keep: dict[str, Snapshot] = {}
        self._long: set[str] = set()
        self._keeping: asyncio.Future[Results] | None = None
        self.contended = False

    async def connect(self) -> AppendConnection:
        if self._connection is None or self._connection.closed:
            self.drop()
            self._connection = await AppendConnection.open(self._database_url, self._role)
        return self._connection

    async def close(self) -> None:
        if self._keeping is not None:
            await asyncio.wait([self._keeping])
        if self._connection is not None:
            await self._connection.close()

    def drop(self) -> None:
        """Drop cache and connection: after an error neither may be trusted."""
        self._cache.drop()
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def receipts(self, batch: Sequence[Pending], otherwise: LedgerError) -> list[Answer]:
        """Receipts of used keys, read under the lock: earlier holders are through."""
        connection = await self.connect()
        read = HeadRead(await connection.begin([pending.key for pending in batch], 0))
        await connection.rollback()
        return [answer_of(pending, read.used) or otherwise for pending in batch]

    async def send(self, batch: Sequence[Pending], before: InFlightBatch | None) -> InFlightBatch:
        """Decide the batch and send it; `before`, if in flight, lands meanwhile.

        What there is no room for is left out: see the flight's own batch. After any error, of either, the
        outcome of both is unknown.
        """
        connection, cache = await self.connect(), self._cache
        reads = {stream for pending in batch for stream in pending.reads}
        written: Mapping[str, tuple[int, State]] = before.decided.states if before else {}
        if missing := [stream for stream in cache.missing(reads) if stream not in written]:
            for stream, (version, state) in (await self._load(connection, dict.fromkeys(missing))).items():
                cache.put(stream, version, state)
        known = {stream: written.get(stream) or cache.entries[stream][:2] for stream in reads}
        at = before.decided.cursor if before else cache.cursor
        keys = [pending.key for pending in batch]
        versions = {stream: version for stream, (version, _) in known.items()} if self.contended else None
        self.keep_snapshots()
        asked = connection.begin(keys, at.position, versions)
        try:
            guess = self._guess(batch, keys, known, before) if before else None
            if before:
                await before.committed
                self.landed(before)
            read = HeadRead(await asked)
            locked_at_s = time.perf_counter()
            decided = guess(read) if guess else None
            if decided is None:
                decided = await self._decide(connection, batch, reads, read)
            else:
                cache.observe(read.head)
            taken = batch[: len(decided.answers)]
            sent = connection.append(read.head, decided) if decided.rows else connection.commit()
            return InFlightBatch(taken, decided, read.now_us, locked_at_s, sent)
        finally:
            asked.cancel()

    def keep_snapshots(self) -> None:
        """Store due snapshots between transactions, outside the lock."""
        if self._to_keep and self._connection is not None:
            snapshots = [self._to_keep[stream] for stream in sorted(self._to_keep)]
            self._to_keep = {}
            try:
                self._keeping = self._connection.keep(snapshots)
            except Exception as error:  # a cache: nothing that stands in the log may depend on it
                logger.warning("snapshots_not_kept", error=repr(error))
            else:
                self._keeping.add_done_callback(_kept)

    def landed(self, flight: InFlightBatch) -> None:
        """Publish the changes of a batch, only now that it is durable."""
        for stream, (version, state) in flight.decided.states.items():
            entry = self._cache.entries.get(stream)
            if not entry or not isinstance(state, AccountState):
                continue
            if stream in self._long or is_due(entry[0], version, state):
                self._long.discard(stream)
                at = next(row for row in reversed(flight.decided.rows) if row.stream == stream)
                self._to_keep[stream] = Snapshot(stream, version, at.position, at.hash, state)
        self._cache.committed(flight.decided.cursor, flight.decided.states)
        if rows := len(flight.decided.rows):
            row_s = (time.perf_counter() - flight.locked_at_s) / max(rows, _ROWS_MIN)
            self._row_s += (row_s - self._row_s) / 8
        self._land(flight)

    def _guess(
        self,
        batch: Sequence[Pending],
        keys: Sequence[str],
        known: Mapping[str, tuple[int, State]],
        before: InFlightBatch,
    ) -> "Callable[[HeadRead], Decided | None] | None":
        """Decide ahead; the answer gives the result, if the read under the lock allows it."""
        if self.contended or self._cache.stale([stream for stream in known if stream in self._cache.entries]):
            return None
        used = {key: before.decided.used[key] for key in keys if key in before.decided.used}
        decided = self._decided(batch, before.decided.cursor, before.now_us, known, dict(used))

        def answer(read: HeadRead) -> Decided | None:
            fits = read.head == before.decided.cursor and read.used == used
            return decided if fits and read.now_us - before.now_us <= _GUESS_US_MAX else None

        return answer

    async def _decide(
        self, connection: AppendConnection, batch: Sequence[Pending], reads: set[str], read: HeadRead
    ) -> Decided:
        cache = self._cache
        if cache.cursor.position and read.hash_at_cursor != cache.cursor.hash:
            logger.error("log_went_back", seen=cache.cursor.position, head=read.head.position)
            cache.went_back()
        elif read.streams is not None:
            fresh: States = {s: cache.entries[s][:2] for s in reads if s in cache.entries}
            folded(fresh, read.streams)
            if len(read.streams) < PAGE_EVENTS:  # else some may have more
                cache.refreshed(read.head, fresh)
        self.contended = cache.observe(read.head)
        cold = cache.missing(reads)
        known = {stream: cache.entries[stream] for stream in cache.stale(reads.difference(cold))}
        if unfresh := dict.fromkeys(cold) | {stream: entry[:2] for stream, entry in known.items()}:
            cache.refreshed(read.head, await self._load(connection, unfresh))
        states = {stream: cache.entries[stream][:2] for stream in reads}
        return self._decided(batch, read.head, read.now_us, states, read.used)

    def _decided(
        self,
        batch: Sequence[Pending],
        head: Cursor,
        now_us: int,
        known: Mapping[str, tuple[int, State]],
        used: dict[str, UsedKey],
    ) -> Decided:
        rows_max = min(max(int(HOLD_S / self._row_s), _ROWS_MIN), _ROWS_MAX)
        return BatchDecider(head, now_us, known, used).decide_all(batch, rows_max)

    async def _load(
        self, connection: AppendConnection, wanted: Mapping[str, tuple[int, State] | None]
    ) -> States:
        states, long = await load(connection, wanted)
        self._long |= long
        return states


def _kept(done: "asyncio.Future[Results]") -> None:
    if not done.cancelled() and (error := done.exception()):
        logger.warning("snapshots_not_kept", error=repr(error))  # a cache: the next crossing tries again
