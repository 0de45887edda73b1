"""Group commit: each process's appender writes waiting commands together, over two connections in turn.

While one batch is being written the next is decided and sent, if it shares no stream and no key with it.
Answers, rejections included, follow the outcome `ok`, which says that the states they were decided on are the
newest.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from hashlib import sha256
from math import ceil
from typing import Any

import structlog

from events.stream_names import SALES_STREAM
from ledger.commands import Command, body
from ledger.decider import streams_read
from ledger.errors import LedgerBusyError, LedgerError, LedgerUnavailableError
from ledger.log.batch import Pending, Receipt, require_name
from ledger.log.batch_writer import BatchWriter, Flight, publish
from ledger.log.clock import LogClock
from ledger.log.primary import Fence, no_fence

logger = structlog.get_logger()

KEY_CHARS_MAX = 200
OVERLAP_ROWS_MIN = 32
"""From so many rows on, as many as commands made last, some are decided while others are being written."""

_EXAMINED_MAX = 2_000


class Appender:
    """Queue of commands from any task, appended in batches.

    `queue_max` bounds memory, `batch_max` how long one process keeps the lock from the others, `give_up_s`
    how long a caller waits for a silent Postgres. `notify` is called after each durable batch.
    """

    def __init__(
        self,
        database_url: str,
        clock: LogClock,
        notify: Callable[[], None] = lambda: None,
        *,
        queue_max: int = 10_000,
        batch_max: int = 256,
        give_up_s: float = 30,
        fence: Fence = no_fence,
    ) -> None:
        self._queue_max = queue_max
        self._batch_max = batch_max
        self._queue: deque[Pending] = deque()
        self._wake = asyncio.Event()
        self._writer = BatchWriter(database_url, clock, notify, batch_max, give_up_s, fence)
        self._flights: deque[Flight] = deque()
        self._rows_a_command = 1.0
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
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._flights or self._queue:
                if self._flights and self._flights[0].outcome.done():
                    await self._guarded(self._flights[0].batch, self._writer.land(self._flights.popleft()))
                    await asyncio.sleep(0)  # who was answered may ask again: the next batch is the larger
                elif len(self._flights) < 2 and (batch := self._take()):
                    await self._guarded(batch, self._launch(batch))
                else:
                    break  # a landing or more commands will wake us
            if self._closing and not self._flights and not self._queue:
                return

    async def _guarded(self, batch: Sequence[Pending], work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # a bug must not leave callers waiting for ever
            logger.exception("append_failed")
            self._writer.drop()
            unknown = LedgerUnavailableError(f"append failed, ask again with the same key: {error!r}")
            publish(batch, unknown)

    def _take(self) -> list[Pending]:
        """The next batch.

        It shares no stream and no key with what is in flight or waits before it, but the one that all sales
        read: who wrote it meanwhile makes them stale. Of many commands half: the rest is decided meanwhile.
        While others write too all, and one batch at a time: the lock is theirs meanwhile anyway.
        """
        flying = [pending for flight in self._flights for pending in flight.batch]
        least = ceil(OVERLAP_ROWS_MIN / self._rows_a_command)
        alone = not self._writer.contended
        if flying and not (alone and len(self._queue) >= least):
            return []
        room = min(len(self._queue), self._batch_max)
        if alone and room + len(flying) >= 2 * least:
            room = min(room, max((room + len(flying)) // 2, least))
        keys = {pending.key for pending in flying}
        streams = {stream for pending in flying for stream in pending.reads} - {SALES_STREAM}
        taken: list[Pending] = []
        left: list[Pending] = []
        while self._queue and len(taken) < room and len(left) < _EXAMINED_MAX:
            pending = self._queue.popleft()
            if pending.future.done():
                continue  # its caller has gone
            if pending.key in keys or not streams.isdisjoint(pending.reads):
                left.append(pending)
                streams.update(pending.reads)  # nobody passes it
                streams.discard(SALES_STREAM)
            else:
                taken.append(pending)
            keys.add(pending.key)
        self._queue.extendleft(reversed(left))
        return taken

    async def _launch(self, batch: list[Pending]) -> None:
        try:
            flight = await self._writer.launch(batch)
        except Exception as error:
            await self._writer.settle(batch, error)
            return
        flight.outcome.add_done_callback(lambda _: self._wake.set())
        self._flights.append(flight)
        self._rows_a_command = max(1.0, len(flight.decided.rows) / len(flight.batch))
        self._queue.extendleft(reversed(batch[len(flight.batch) :]))
