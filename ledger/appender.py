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

from ledger.batch import Answer, BatchDecider, Decided, Pending
from ledger.cache import StreamCache
from ledger.commands import Command, body
from ledger.connection import AppendConnection, HeadRead
from ledger.decide import State, fold, initial, streams_read
from ledger.errors import AlreadyExists, LedgerBusy, LedgerError, LedgerUnavailable
from ledger.receipt import Receipt

logger = structlog.get_logger()

KEY_CHARS_MAX = 200
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
        self._database_url = database_url
        self._role = role
        self._queue_max = queue_max
        self._batch_max = batch_max
        self._give_up_s = give_up_s
        self._queue: deque[Pending] = deque()
        self._wake = asyncio.Event()
        self._cache = StreamCache()
        self._connection: AppendConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self) -> None:
        """Connect and begin to append. Raises LedgerError, or what asyncpg raises, when that cannot be."""
        self._connection = await AppendConnection.open(self._database_url, self._role)
        self._task = asyncio.create_task(self._run(), name="appender")

    async def close(self) -> None:
        """Finish what is queued, then disconnect."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        if self._connection is not None:
            await self._connection.close()

    def submit(self, command: Command, key: str) -> "asyncio.Future[Receipt]":
        """Queue the command; the future holds its receipt or its error. Raises LedgerBusy when full."""
        if self._closing or self._task is None or self._task.done():
            raise LedgerUnavailable("the ledger is closed in this process")
        if not 0 < len(key) <= KEY_CHARS_MAX or not key.isprintable():
            raise LedgerError(f"a key has 1 to {KEY_CHARS_MAX} printable characters")
        if len(self._queue) >= self._queue_max:
            raise LedgerBusy(f"{self._queue_max} commands are waiting; ask again shortly with the same key")
        future = asyncio.get_running_loop().create_future()
        body_hash = sha256(body(command)).digest()
        self._queue.append(Pending(command, key, body_hash, streams_read(command), future))
        self._wake.set()
        return future

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                count = min(len(self._queue), self._batch_max)
                batch = [self._queue.popleft() for _ in range(count)]
                try:
                    await self._append(batch)
                except Exception as error:  # a bug must not leave callers waiting for ever
                    logger.exception("append_failed")
                    self._drop()
                    _publish(batch, [LedgerError(f"append failed: {error!r}")] * len(batch))
            if self._closing:
                return

    async def _append(self, batch: list[Pending]) -> None:
        give_up_at = asyncio.get_running_loop().time() + self._give_up_s
        cold = False
        while batch := [pending for pending in batch if not pending.future.done()]:
            try:
                return _publish(batch, await self._attempt(batch))
            except _LOST + _WAIT as error:
                self._drop(keep_connection=isinstance(error, _WAIT))
                if asyncio.get_running_loop().time() >= give_up_at:
                    unavailable = LedgerUnavailable(f"no answer in {self._give_up_s} s: {error!r}")
                    return _publish(batch, [unavailable] * len(batch))
                logger.warning("append_interrupted", error=repr(error), commands=len(batch))
                await asyncio.sleep(0.1)
            except asyncpg.PostgresError as error:
                self._drop(keep_connection=True)
                if isinstance(error, asyncpg.UniqueViolationError) and not cold:
                    cold = True  # the cache was wrong; once more from what the log says
                elif len(batch) > 1:
                    for pending in batch:
                        await self._append([pending])
                    return None
                else:
                    return _publish(batch, [_refusal(error)])
        return None

    async def _attempt(self, batch: Sequence[Pending]) -> list[Answer]:
        if self._connection is None or self._connection.closed:
            self._connection = await AppendConnection.open(self._database_url, self._role)
        connection, cache = self._connection, self._cache
        reads = {stream for pending in batch for stream in pending.reads}
        if missing := cache.missing(reads):
            for stream, (version, state) in (await self._load(dict.fromkeys(missing))).items():
                cache.put(stream, version, state)
        try:
            read = await connection.begin([pending.key for pending in batch], cache.cursor.position)
            decided = await self._decide(batch, reads, read)
            if decided.rows:
                await connection.append(read.head, decided)
            else:
                await connection.commit()
        except BaseException:
            await self._roll_back(connection)
            raise
        cache.committed(decided.cursor, decided.states)
        return decided.answers

    async def _decide(self, batch: Sequence[Pending], reads: set[str], read: HeadRead) -> Decided:
        cache = self._cache
        if cache.cursor.position and read.hash_at_cursor != cache.cursor.hash:
            logger.error("log_went_back", seen=cache.cursor.position, head=read.head.position)
            cache.went_back()
        cache.observe(read.head)
        cold = cache.missing(reads)
        known = {stream: cache.entries[stream] for stream in cache.stale(reads.difference(cold))}
        if unfresh := dict.fromkeys(cold) | {stream: entry[:2] for stream, entry in known.items()}:
            cache.refreshed(read.head, await self._load(unfresh))
        states = {stream: cache.entries[stream][:2] for stream in reads}
        return BatchDecider(read.head, read.now_us, states, read.used).decide_all(batch)

    async def _load(self, wanted: dict[str, tuple[int, State] | None]) -> dict[str, tuple[int, State]]:
        assert self._connection is not None
        states = {stream: known or (0, initial(stream)) for stream, known in wanted.items()}
        versions = {stream: version for stream, (version, _) in states.items()}
        for stream, version, type_name, data in await self._connection.streams_after(versions):
            states[stream] = (version, fold(states[stream][1], type_name, data))
        return states

    async def _roll_back(self, connection: AppendConnection) -> None:
        try:
            await connection.rollback()
        except (*_LOST, asyncpg.PostgresError):
            connection.terminate()

    def _drop(self, *, keep_connection: bool = False) -> None:
        self._cache.drop()
        if self._connection is not None and not keep_connection:
            self._connection.terminate()
            self._connection = None


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
