"""Batch writer: decides on cached states, sends, takes in the outcome, until every command has its answer.

What each outcome means is written in docs/decisions/log-door.md. Nothing that may be durable is answered with
an error: when an outcome is unknown the batch runs again, and its keys, read under the lock, tell.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import asyncpg
import msgspec
import structlog

from events.envelope import Cursor
from ledger.decider import State
from ledger.errors import (
    AlreadyExistsError,
    ClockDoubtError,
    LedgerBusyError,
    LedgerError,
    LedgerUnavailableError,
)
from ledger.log.append_connection import AppendConnection, Begun, Fresh, Outcome, used_keys
from ledger.log.batch import Answer, Decided, Pending, Receipt, UsedKey, answer_of, decide_batch
from ledger.log.cache import StreamCache
from ledger.log.clock import LogClock
from ledger.log.primary import Fence
from ledger.log.snapshots import folded, load
from ledger.postgres import CONNECTION_LOST, DATABASE_ERRORS, TRANSIENT, refuses_data

logger = structlog.get_logger()

DECISION_AGE_US_MAX = 5_000_000
"""What was decided longer ago is not written any more; see `ledger.append`."""

_ATTEMPT_US_MAX = 60_000_000
"""No attempt waits so long: once the log's time was taken back behind one by more, it is over."""

Known = Mapping[str, tuple[int, State]]
"""Stream → version and state."""

_BEGIN_MAX = 3
_AGAIN_S = 0.1
_DOUBT_S = 1.0
_DOUBTS = {
    "doubt": "no two clocks agree, so nothing is recorded until they do: set the wrong one right "
    "(docs/runbook.md, ClockInDoubt), then ask again with the same key",
    "gap": "the log's last event is over a day old and nobody outside tells the time, so the clock may be "
    "wrong: compare it, then `neurocards clock confirm`, and ask again with the same key",
}


class Flight(NamedTuple):
    """Batch being written, sent with these cursors."""

    batch: Sequence[Pending]
    decided: Decided
    cursors: Sequence[Cursor]
    connection: AppendConnection
    outcome: "asyncio.Task[Outcome]"


class BatchWriter:
    """Connections and cached states of one process. `notify` is called after each durable batch.

    `contended`: others have written between the last two batches.
    """

    def __init__(
        self,
        database_url: str,
        clock: LogClock,
        notify: Callable[[], None],
        batch_max: int,
        give_up_s: float,
        fence: Fence,
    ) -> None:
        self._database_url = database_url
        self._fence = fence
        self._clock = clock
        self._notify = notify
        self._batch_max = batch_max
        self._give_up_s = give_up_s
        self._cache = StreamCache()
        self._connections: list[AppendConnection] = []
        self._flying: list[AppendConnection] = []
        self.contended = False
        self._end = 0  # where the last batch ended

    async def connect(self) -> AppendConnection:
        """A connection over which nothing is being written. Raises LedgerError and asyncpg's errors."""
        self._connections = [one for one in self._connections if not one.closed]
        for connection in self._connections:
            if connection not in self._flying:
                return connection
        connection = await AppendConnection.open(self._database_url, self._clock, self._fence)
        self._connections.append(connection)
        return connection

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()

    def drop(self) -> None:
        """Drop cached states and idle connections: after an error none may be trusted."""
        self._cache.drop()
        for connection in self._connections:
            if connection not in self._flying:
                connection.terminate()

    async def launch(self, batch: Sequence[Pending]) -> Flight:
        """Decide the batch and send it. What there is no room for is left out: see the flight's own batch."""
        connection = await self.connect()
        known = await self._known(connection, batch)
        batch, decided = self._decided(batch, known)
        cursors = self._cache.cursors
        self._flying.append(connection)
        outcome = asyncio.create_task(self._send(connection, cursors, batch, known, decided))
        return Flight(batch, decided, cursors, connection, outcome)

    async def land(self, flight: Flight) -> None:
        """Answer a batch whose outcome is there, or settle it."""
        self._flying.remove(flight.connection)
        try:
            outcome = flight.outcome.result()
            self._answered(flight.batch, flight.decided, flight.cursors, outcome)
        except Exception as error:
            await self.settle(flight.batch, error)
            return
        if any(not pending.future.done() for pending in flight.batch):
            await self.settle(flight.batch, careful=outcome.outcome == "stale")

    def _decided(self, batch: Sequence[Pending], known: Known) -> tuple[Sequence[Pending], Decided]:
        """Decide as many as there is room for; which, and what came of it."""
        decided = decide_batch(batch, known, self._clock.now_us())
        return batch[: len(decided.answers)], decided

    async def _send(
        self,
        connection: AppendConnection,
        cursors: Sequence[Cursor],
        batch: Sequence[Pending],
        known: Known,
        decided: Decided,
    ) -> Outcome:
        reads = {stream: known[stream][0] for pending in batch for stream in pending.reads}
        try:
            return await connection.append(cursors, reads, batch, decided)
        except Exception as error:
            if isinstance(error, CONNECTION_LOST) or not isinstance(error, asyncpg.PostgresError):
                for pending, events in zip(batch, decided.counts, strict=True):
                    if events:  # its backend may live on and wait for the lock
                        pending.unknown_until_us = decided.now_us + DECISION_AGE_US_MAX
            raise

    async def settle(
        self,
        batch: Sequence[Pending],
        error: Exception | None = None,
        *,
        careful: bool = False,
        give_up_at: float | None = None,
    ) -> None:
        """Append one batch alone, again until its outcome is known; `error`: of an attempt already made.

        Every attempt reads the keys under the lock, so what an earlier one has committed is found. What no
        attempt can help is refused, alone.
        """
        now = asyncio.get_running_loop().time
        give_up_at = give_up_at or now() + self._give_up_s
        cold = False
        while True:
            if error is not None:
                self._failed(error)
                if now() >= give_up_at:
                    unavailable: Exception = LedgerUnavailableError(
                        f"no answer in {self._give_up_s} s: {error!r}"
                    )
                    if isinstance(error, ClockDoubtError):
                        unavailable = error
                    return publish(batch, unavailable)
                if not isinstance(error, TRANSIENT):
                    if cold and len(batch) > 1:
                        for pending in batch:
                            await self.settle([pending], give_up_at=give_up_at)
                        return None
                    unknown = _may_still_pass(batch[0], self._clock.now_us())
                    if cold and not unknown and (refusal := _refusal(error)):
                        return publish(batch, refusal)
                    cold = True  # the cache may have been wrong; once more from what the log says
                await asyncio.sleep(_DOUBT_S if isinstance(error, ClockDoubtError) else _AGAIN_S)
            error = None
            batch = [pending for pending in batch if not pending.future.done()]
            if not batch:
                return None
            try:
                connection = await self.connect()
                attempt = self._carefully if careful else self._once
                careful = await attempt(connection, batch[: self._batch_max])
                if any(pending.unknown_until_us and not pending.future.done() for pending in batch):
                    await asyncio.sleep(_AGAIN_S)
            except Exception as raised:
                error = raised

    async def _once(self, connection: AppendConnection, batch: Sequence[Pending]) -> bool:
        """Decide on the cache and send; whether the next attempt has to take the lock first."""
        known = await self._known(connection, batch)
        batch, decided = self._decided(batch, known)
        cursors = self._cache.cursors
        outcome = await self._send(connection, cursors, batch, known, decided)
        self._answered(batch, decided, cursors, outcome)
        return outcome.outcome == "stale"

    async def _carefully(self, connection: AppendConnection, batch: Sequence[Pending]) -> bool:
        """Take the lock, decide on what is new, and write: for what would starve otherwise."""
        for _ in range(_BEGIN_MAX):
            known = await self._known(connection, batch)
            cursors = self._cache.cursors
            versions = {stream: version for stream, (version, _) in known.items()}
            begun = await connection.begin(cursors, [pending.key for pending in batch], versions)
            if begun.outcome != "ok":
                await connection.rollback()
                self._answered(batch, Decided(0), cursors, begun)
                return False
            found = msgspec.json.decode(begun.detail or "{}", type=Begun)
            self._answer_used(batch, used_keys(found.keys or []))
            batch = [pending for pending in batch if not pending.future.done()]
            self._refresh(found.fresh)
            if self._cache.missing(stream for pending in batch for stream in pending.reads):
                await connection.rollback()  # nothing is loaded while the lock is held
                continue
            known = {stream: self._cache.entries[stream] for pending in batch for stream in pending.reads}
            batch, decided = self._decided(batch, known)
            outcome = await self._send(connection, cursors, batch, known, decided)
            await (connection.commit() if outcome.outcome == "ok" else connection.rollback())
            self._answered(batch, decided, cursors, outcome)
            return outcome.outcome == "stale"
        busy = LedgerBusyError("others write to the same streams all the time; ask again with the same key")
        publish(batch, busy)
        return False

    def _answered(
        self, batch: Sequence[Pending], decided: Decided, cursors: Sequence[Cursor], outcome: Outcome
    ) -> None:
        """Take in what the database said, and answer what can be answered."""
        match outcome.outcome:
            case "ok":
                self._cache.put(decided.states)
                self.contended = outcome.head.position - len(decided.rows) != self._end
                self._end = outcome.head.position
                self._cache.seen(outcome.head, cursors)
                self._answer(batch, decided, outcome)
                if decided.rows:
                    self._notify()
            case "back":
                logger.error("log_went_back", seen=[cursor.position for cursor in cursors])
                self._cache.went_back()
            case "keys":
                self._answer_used(batch, outcome.used())
            case "stale":
                self._refresh(outcome.fresh())
                self._refuse_existing(batch, decided, outcome)
            case "later":
                later = LedgerUnavailableError("the database's clock is behind; try later with the same key")
                self._refuse(batch, decided.commands_of(outcome.waiting()), later, outcome)
            case "doubt" | "gap":
                wall_us, witness_us = self._clock.others_us()
                logger.error(
                    "clock_in_doubt",
                    why=outcome.outcome,
                    clocks=outcome.detail,
                    wall_us=wall_us,
                    witness_us=witness_us,
                )
                raise ClockDoubtError(_DOUBTS[outcome.outcome])

    def _answer(self, batch: Sequence[Pending], decided: Decided, outcome: Outcome) -> None:
        assert outcome.at_us is not None
        answers = decided.answers_at(outcome.head.position, outcome.at_us)
        for pending, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Receipt) or not _may_still_pass(pending, outcome.believed_us):
                publish([pending], answer)

    def _answer_used(self, batch: Sequence[Pending], used: Mapping[str, UsedKey]) -> None:
        for pending in batch:
            if (answer := answer_of(pending, used)) is not None:
                publish([pending], answer)

    def _refuse_existing(self, batch: Sequence[Pending], decided: Decided, outcome: Outcome) -> None:
        """Refuse what would make a stream that stands already; its key does not, that was looked at first."""
        fresh = outcome.fresh()
        read = {stream for pending in batch for stream in pending.reads}
        existing = {event[0] for event in fresh.events}.union(fresh.missing) - read
        if existing:
            rows = [number for number, row in enumerate(decided.rows) if row.stream in existing]
            error = AlreadyExistsError(f"exists already: {', '.join(sorted(existing))}")
            self._refuse(batch, decided.commands_of(rows), error, outcome)

    def _refuse(
        self, batch: Sequence[Pending], numbers: set[int], error: LedgerError, outcome: Outcome
    ) -> None:
        for number in numbers:
            if not _may_still_pass(batch[number], outcome.believed_us):
                publish([batch[number]], error)

    def _refresh(self, fresh: Fresh) -> None:
        entries = self._cache.entries
        states = {stream: entries[stream] for stream, *_ in fresh.events if stream in entries}
        newer = [event for event in fresh.events if event[1] > states.get(event[0], (0, None))[0]]
        folded(states, newer)  # the other call may have brought some already
        self._cache.put(states)
        for stream in fresh.missing:
            entries.pop(stream, None)

    async def _known(self, connection: AppendConnection, batch: Sequence[Pending]) -> Known:
        """Versions and states of what is read: cached, or loaded without the lock."""
        reads = {stream for pending in batch for stream in pending.reads}
        if missing := self._cache.missing(reads):
            self._cache.put(await load(connection.reader, missing))
            self._cache.seen(await connection.head())
        return {stream: self._cache.entries[stream] for stream in reads}

    def _failed(self, error: Exception) -> None:
        """Drop cache and connections: on the next one the keys tell the outcome."""
        expected = isinstance(error, DATABASE_ERRORS)
        logger.warning("append_interrupted", error=repr(error), exc_info=None if expected else error)
        self.drop()


def publish(batch: Iterable[Pending], answer: Answer) -> None:
    """Give all the same answer; a caller that has gone is passed over."""
    for pending in batch:
        if pending.future.done():
            continue
        if isinstance(answer, Receipt):
            pending.future.set_result(answer)
        else:
            pending.future.set_exception(answer)


def _may_still_pass(pending: Pending, now_us: int | None) -> bool:
    """Whether an earlier attempt of unknown outcome could still be written."""
    return now_us is not None and now_us <= pending.unknown_until_us <= now_us + _ATTEMPT_US_MAX


def _refusal(error: Exception) -> LedgerError | None:
    """Answer to a command that alone causes this; None: retry until giving up.

    Postgres says so of a statement that it has rolled back, after it has looked at the key.
    """
    if isinstance(error, asyncpg.UniqueViolationError):
        return AlreadyExistsError(f"already in the log: {error.constraint_name}")
    if isinstance(error, asyncpg.InsufficientPrivilegeError) or refuses_data(error):
        return LedgerError(f"Postgres refused the event: {error}")
    if isinstance(error, asyncpg.PostgresError):
        return None
    return LedgerError(f"append failed: {error!r}")
