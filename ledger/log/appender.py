"""Group commit under one lock: each process's appender writes waiting commands together.

The lock makes positions dense and in commit order. Answers, rejections included, follow the commit, since
they were decided on what the transaction saw. When the connection is lost or anything unforeseen happens, the
outcome of a commit is unknown; the batch runs again and the keys, read under the lock, tell what was written.
Nothing that may be durable is answered with an error.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from hashlib import sha256

import asyncpg
import structlog

from ledger.commands import Command, body
from ledger.decider import streams_read
from ledger.errors import AlreadyExistsError, LedgerBusyError, LedgerError, LedgerUnavailableError
from ledger.log.batch import Answer, Pending, Receipt, require_name
from ledger.log.pipeline import BatchWriter, InFlightBatch
from ledger.postgres import DATABASE_ERRORS, TRANSIENT, refuses_data

logger = structlog.get_logger()

KEY_CHARS_MAX = 200
OVERLAP_MIN = 4
"""From so many commands on, half of them are decided while the other half is being written."""

_AGAIN_S = 0.1


class Appender:
    """Queue of commands from any task, appended in batches.

    `queue_max` bounds memory, `batch_max` how long one process keeps the lock from the others, `give_up_s`
    how long a caller waits for a silent Postgres.
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
        self._writer = BatchWriter(database_url, role, _land)
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self) -> None:
        """Connect and begin to append. Raises LedgerError and asyncpg's errors."""
        await self._writer.connect()
        self._task = asyncio.create_task(self._run(), name="appender")

    async def close(self) -> None:
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        await self._writer.close()

    def submit(self, command: Command, key: str) -> "asyncio.Future[Receipt]":
        """Queue the command; the future holds its receipt or its error. Raises LedgerBusyError when full."""
        if self._closing or self._task is None or self._task.done():
            raise LedgerUnavailableError("the ledger is closed in this process")
        if not 0 < len(key) <= KEY_CHARS_MAX or not key.isprintable():
            raise LedgerError(f"a key has 1 to {KEY_CHARS_MAX} printable characters")
        if len(self._queue) >= self._queue_max:
            raise LedgerBusyError(
                f"{self._queue_max} commands are waiting; ask again shortly with the same key"
            )
        future = asyncio.get_running_loop().create_future()
        reads = streams_read(command)
        for stream in reads:
            require_name(stream)
        body_hash = sha256(body(command)).digest()
        self._queue.append(Pending(command, key, body_hash, reads, future))
        self._wake.set()
        return future

    async def _run(self) -> None:
        flight: InFlightBatch | None = None
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
                    unknown = LedgerUnavailableError(f"append failed, ask again with the same key: {error!r}")
                    _publish(failed, [unknown] * len(failed))
                    flight = None
            if not flight:
                self._writer.keep_snapshots()
                if self._closing:
                    return

    def _take(self, flight: InFlightBatch | None) -> list[Pending]:
        """The next batch. Of many commands half: the rest is decided meanwhile."""
        count = waiting = len(self._queue)
        flying = len(flight.batch) if flight else 0
        if not self._writer.contended and waiting + flying >= 2 * OVERLAP_MIN:
            count = max((waiting + flying) // 2, OVERLAP_MIN)
        return [self._queue.popleft() for _ in range(min(count, waiting, self._batch_max))]

    async def _next(self, batch: list[Pending], before: InFlightBatch | None) -> InFlightBatch | None:
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
        except Exception as error:  # whatever it was: the batch before may be durable, this one perhaps
            self._failed(error)
            if before:
                await self._append(list(before.batch))
            await self._append(batch)
            return None
        flight.committed.add_done_callback(lambda _: self._wake.set())
        self._queue.extendleft(reversed(batch[len(flight.batch) :]))
        return flight

    async def _append(self, batch: list[Pending], give_up_at: float | None = None) -> None:
        """Append one batch alone, again until its outcome is known.

        Every attempt reads the keys under the lock, so what an earlier one has committed is found. What no
        attempt can help is refused, alone, after one more look whether its key stands in the log.
        """
        now = asyncio.get_running_loop().time
        give_up_at = give_up_at or now() + self._give_up_s
        cold, refusal = False, None
        while batch := [pending for pending in batch if not pending.future.done()]:
            try:
                if refusal is not None:
                    return _publish(batch, await self._writer.receipts(batch, refusal))
                flight = await self._writer.send(batch, None)
                await flight.committed
                self._writer.landed(flight)
            except Exception as error:  # nothing that may be durable is answered with an error
                self._failed(error)
                if now() >= give_up_at:
                    unavailable = LedgerUnavailableError(f"no answer in {self._give_up_s} s: {error!r}")
                    return _publish(batch, [unavailable] * len(batch))
                if not isinstance(error, TRANSIENT):
                    if not cold:
                        cold = True  # the cache was wrong; once more from what the log says
                        continue
                    if len(batch) > 1:
                        for pending in batch:
                            await self._append([pending], give_up_at)
                        return None
                    refusal = refusal or _refusal(error)
                await asyncio.sleep(_AGAIN_S)
        return None

    def _failed(self, error: Exception) -> None:
        """Drop cache and connection: on the next one the keys tell the outcome."""
        expected = isinstance(error, DATABASE_ERRORS)
        logger.warning("append_interrupted", error=repr(error), exc_info=None if expected else error)
        self._writer.drop()


def _land(flight: InFlightBatch) -> None:
    _publish(flight.batch, flight.decided.answers)


def _publish(batch: Sequence[Pending], answers: Sequence[Answer]) -> None:
    for pending, answer in zip(batch, answers, strict=True):
        if pending.future.done():
            continue  # its caller has gone
        if isinstance(answer, Receipt):
            pending.future.set_result(answer)
        else:
            pending.future.set_exception(answer)


def _refusal(error: Exception) -> LedgerError | None:
    """Answer to a command that alone causes this; None: retry until giving up."""
    if isinstance(error, asyncpg.UniqueViolationError):
        return AlreadyExistsError(f"already in the log: {error.constraint_name}")
    if refuses_data(error):
        return LedgerError(f"Postgres refused the event: {error}")
    if isinstance(error, asyncpg.PostgresError):
        return None
    return LedgerError(f"append failed: {error!r}")
