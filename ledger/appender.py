"""Group commit under one lock: in each process one appender takes what is waiting and writes it together.

The lock makes positions dense and in commit order. What was asked for is answered only after the commit,
rejections included, since they were decided on what the transaction saw. When the connection is lost the
outcome of a commit is unknown; the batch runs again and the keys, read under the lock, tell what was written.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from hashlib import sha256

import asyncpg
import structlog

from ledger.batch import Answer, Pending
from ledger.commands import Command, body
from ledger.decide import streams_read
from ledger.errors import AlreadyExists, InvalidCommand, LedgerBusy, LedgerError, LedgerUnavailable
from ledger.flight import Flight, Writer
from ledger.receipt import Receipt

logger = structlog.get_logger()

KEY_CHARS_MAX = 200
OVERLAP_MIN = 4
"""From so many commands on, half of them are decided while the other half is being written."""

_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # "cannot switch to state": the backend died between two statements
    asyncpg.OperatorInterventionError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    OSError,
    TimeoutError,
)
_WAIT = (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError, asyncpg.InsufficientResourcesError)


class Appender:
    """Accepts commands from any task of this process and appends them in batches.

    `queue_max` bounds memory, `batch_max` bounds how long one process keeps the lock from the others,
    `give_up_s` bounds how long a caller waits for a Postgres that does not answer.
    """

    def __init__(
        self,
        database_url: str,
        role: str | None = None,
        *,
        queue_max: int = 10_000,
        batch_max: int = 512,
        give_up_s: float = 30,
    ) -> None:
        self._queue_max = queue_max
        self._batch_max = batch_max
        self._give_up_s = give_up_s
        self._queue: deque[Pending] = deque()
        self._wake = asyncio.Event()
        self._writer = Writer(database_url, role, _land)
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self) -> None:
        """Connect and begin to append. Raises LedgerError, or what asyncpg raises, when that cannot be."""
        await self._writer.connect()
        self._task = asyncio.create_task(self._run(), name="appender")

    async def close(self) -> None:
        """Finish what is queued, then disconnect."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        await self._writer.close()

    def submit(self, command: Command, key: str) -> "asyncio.Future[Receipt]":
        """Queue the command; the future holds its receipt or its error. Raises LedgerBusy when full."""
        if self._closing or self._task is None or self._task.done():
            raise LedgerUnavailable("the ledger is closed in this process")
        if not 0 < len(key) <= KEY_CHARS_MAX or not key.isprintable():
            raise LedgerError(f"a key has 1 to {KEY_CHARS_MAX} printable characters")
        if len(self._queue) >= self._queue_max:
            raise LedgerBusy(f"{self._queue_max} commands are waiting; ask again shortly with the same key")
        future = asyncio.get_running_loop().create_future()
        reads = streams_read(command)
        for stream in reads:
            if not stream.isprintable():
                raise InvalidCommand(f"{stream!r} names no stream; an id is made of printable characters")
        body_hash = sha256(body(command)).digest()
        self._queue.append(Pending(command, key, body_hash, reads, future))
        self._wake.set()
        return future

    async def _run(self) -> None:
        flight: Flight | None = None
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue or flight:
                if flight and not flight.committed.done() and len(self._queue) < OVERLAP_MIN:
                    break  # its landing or more commands will wake us
                batch = self._take(flight)
                try:
                    flight = await self._next(batch, flight)
                except Exception as error:  # a bug must not leave callers waiting for ever
                    logger.exception("append_failed")
                    self._writer.drop()
                    failed = [*(flight.batch if flight else []), *batch]
                    _publish(failed, [LedgerError(f"append failed: {error!r}")] * len(failed))
                    flight = None
            if not flight:
                self._writer.keep_snapshots()
                if self._closing:
                    return

    def _take(self, flight: Flight | None) -> list[Pending]:
        """The next batch. Of many commands half: the others are decided while it is being written."""
        count = waiting = len(self._queue)
        flying = len(flight.batch) if flight else 0
        if not self._writer.contended and waiting + flying >= 2 * OVERLAP_MIN:
            count = max((waiting + flying) // 2, OVERLAP_MIN)
        return [self._queue.popleft() for _ in range(min(count, waiting, self._batch_max))]

    async def _next(self, batch: list[Pending], before: Flight | None) -> Flight | None:
        """Send the batch while the one before lands. None when nothing is under way after all."""
        batch = [pending for pending in batch if not pending.future.done()]
        writer = self._writer
        try:
            if before and (before.committed.done() or not batch):
                await before.committed
                writer.landed(before)
                before = None
            if not batch:
                return None
            flight = await writer.send(batch, before)
        except (*_LOST, asyncpg.PostgresError) as error:
            await self._failed(error)
            if before and any(not pending.future.done() for pending in before.batch):
                await self._append(list(before.batch))
            await self._append(batch)
            return None
        flight.committed.add_done_callback(lambda _: self._wake.set())
        self._queue.extendleft(reversed(batch[len(flight.batch) :]))
        return flight

    async def _append(self, batch: list[Pending]) -> None:
        """One batch alone, again and again until its outcome is known."""
        give_up_at = asyncio.get_running_loop().time() + self._give_up_s
        cold = False
        while batch := [pending for pending in batch if not pending.future.done()]:
            try:
                flight = await self._writer.send(batch, None)
                await flight.committed
                self._writer.landed(flight)
            except _LOST + _WAIT as error:
                await self._failed(error)
                if asyncio.get_running_loop().time() >= give_up_at:
                    unavailable = LedgerUnavailable(f"no answer in {self._give_up_s} s: {error!r}")
                    return _publish(batch, [unavailable] * len(batch))
                await asyncio.sleep(0.1)
            except asyncpg.PostgresError as error:
                await self._failed(error)
                if isinstance(error, asyncpg.UniqueViolationError) and not cold:
                    cold = True  # the cache was wrong; once more from what the log says
                elif len(batch) > 1:
                    for pending in batch:
                        await self._append([pending])
                else:
                    return _publish(batch, [_refusal(error)])
        return None

    async def _failed(self, error: Exception) -> None:
        """End the transaction and forget what is remembered; the connection too, if it is what failed."""
        logger.warning("append_interrupted", error=repr(error))
        await self._writer.roll_back()
        lost = isinstance(error, _LOST) and not isinstance(error, _WAIT)
        self._writer.drop(keep_connection=not lost)


def _land(flight: Flight) -> None:
    _publish(flight.batch, flight.decided.answers)


def _publish(batch: Sequence[Pending], answers: Sequence[Answer]) -> None:
    for pending, answer in zip(batch, answers, strict=True):
        if pending.future.done():
            continue  # its caller has gone
        if isinstance(answer, Receipt):
            pending.future.set_result(answer)
        else:
            pending.future.set_exception(answer)


def _refusal(error: asyncpg.PostgresError) -> LedgerError:
    if isinstance(error, asyncpg.UniqueViolationError):
        return AlreadyExists(f"already in the log: {error.constraint_name}")
    return LedgerError(f"Postgres refused the event: {error}")
