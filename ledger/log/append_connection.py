"""Connection to append over: calls `ledger.append` and `ledger.begin_append`, and reads streams.

What each outcome means is written in docs/decisions/log-door.md. Columns of text travel as one, joined by
the unit separator: encoding thousands of texts one by one costs more than the insert.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import asyncpg
import msgspec

from events.envelope import GENESIS, Cursor
from ledger.errors import LedgerError, LedgerUnavailableError
from ledger.log.batch import Decided, Pending, Receipt, UsedKey
from ledger.log.clock import LogClock
from ledger.log.primary import Fence, require_leading
from ledger.log.snapshots import SEPARATOR, StreamEvent
from ledger.postgres import READ_WRITE, connect_in_turn
from ledger.sql import load_queries

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

T = TypeVar("T")

query = load_queries("ledger.log")

ANSWER_S_MAX: Final = 10.0
"""No answer in this time: the server or the way to it is gone."""

_SERVER_SETTINGS: Final = {
    "application_name": "neurocards-appender",
    "timezone": "UTC",
    "synchronous_commit": "on",
    "lock_timeout": "3500ms",
    "statement_timeout": "4s",
    "transaction_timeout": "5s",
    "idle_in_transaction_session_timeout": "3s",
    "tcp_user_timeout": "3s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    # Every read here is by an index; a plan made while the table was empty must not stay a scan.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
}


class Fresh(msgspec.Struct, frozen=True):
    """Events newer than what was known. `missing`: streams with too many to be sent under the lock."""

    events: list[StreamEvent]
    missing: list[str]


class Begun(msgspec.Struct, frozen=True):
    keys: list[tuple[str, str, int, int, int]] | None
    fresh: Fresh


class Outcome(NamedTuple):
    """Answer of `ledger.append`; `detail` is its JSON."""

    outcome: str
    position: int | None
    hash: bytes | None
    at_us: int | None
    believed_us: int | None
    detail: str | None

    @property
    def head(self) -> Cursor:
        assert self.position is not None
        assert self.hash is not None
        return Cursor(self.position, self.hash)

    def used(self) -> dict[str, UsedKey]:
        return used_keys(msgspec.json.decode(self.detail or "[]", type=list[tuple[str, str, int, int, int]]))

    def fresh(self) -> Fresh:
        return msgspec.json.decode(self.detail or "{}", type=Fresh)

    def waiting(self) -> list[int]:
        """Numbers of the rows that wait for a clock."""
        return msgspec.json.decode(self.detail or "[]", type=list[int])


def used_keys(found: Iterable[tuple[str, str, int, int, int]]) -> dict[str, UsedKey]:
    return {key: UsedKey(bytes.fromhex(body), Receipt(*receipt)) for key, body, *receipt in found}


class AppendConnection:
    """One session with the primary; `clock` learns from its answers which time is believed."""

    def __init__(self, connection: "Connection", clock: LogClock) -> None:
        self._connection = connection
        self._clock = clock

    @classmethod
    async def open(cls, database_url: str, clock: LogClock, fence: Fence) -> "AppendConnection":
        """Connect to the primary. Raises LedgerError for a superuser, or when commits are not durable.

        `fence` raises TwoPrimariesError.
        """
        connection = await connect_in_turn(
            database_url,
            server_settings=_SERVER_SETTINGS,
            timeout=5,
            target_session_attrs=READ_WRITE,
        )
        try:
            session = await connection.fetchrow(query("session"))
            assert session is not None
            if session["durable"] not in ("on", "remote_apply"):
                raise LedgerError(
                    f"synchronous_commit is {session['durable']!r}; set it to on, or paid credits get lost"
                )
            if session["superuser"]:
                raise LedgerError(
                    f"{session['login']} is a superuser, whose rights nobody can judge: let DATABASE_URL "
                    "log in as one of the logins of docs/security.md, e.g. neurocards_operator"
                )
            clock.same_machine = session["same_machine"]
            await require_leading(connection, fence)
        except BaseException:
            connection.terminate()
            raise
        return cls(connection, clock)

    async def append(
        self, cursors: Sequence[Cursor], reads: Mapping[str, int], batch: Sequence[Pending], decided: Decided
    ) -> Outcome:
        """Send a decided batch; only the outcome `ok` means that it stands."""
        rows = decided.rows
        versions = {**{row.stream: 0 for row in rows if row.version == 1}, **reads}
        places = {stream: place for place, stream in enumerate(versions, 1)}
        return await self._call(
            "append",
            [cursor.position for cursor in cursors],
            [cursor.hash for cursor in cursors],
            decided.now_us,
            *self._clock.others_us(),
            SEPARATOR.join(versions),
            list(versions.values()),
            SEPARATOR.join([pending.key for pending in batch]),
            b"".join([pending.body_hash for pending in batch]),
            decided.counts,
            [places[row.stream] for row in rows],
            SEPARATOR.join([row.type for row in rows]),
            SEPARATOR.join([row.data for row in rows]),
        )

    async def begin(
        self, cursors: Sequence[Cursor], keys: Sequence[str], versions: Mapping[str, int]
    ) -> Outcome:
        """Begin a transaction and take the lock; `detail` is a Begun. `append`, then commit or roll back."""
        await self._answer(self._connection.execute("BEGIN"))
        return await self._call(
            "begin_append",
            [cursor.position for cursor in cursors],
            [cursor.hash for cursor in cursors],
            *self._clock.others_us(),
            SEPARATOR.join(keys),
            SEPARATOR.join(versions),
            SEPARATOR.join(map(str, versions.values())),
        )

    async def commit(self) -> None:
        """Raises LedgerUnavailableError when it was aborted, which Postgres says without an error."""
        if await self._answer(self._connection.execute("COMMIT")) != "COMMIT":
            raise LedgerUnavailableError("the transaction was rolled back")

    async def rollback(self) -> None:
        await self._answer(self._connection.execute("ROLLBACK"))

    async def notify(self) -> None:
        """Wake who listens. Not in an append: a full queue fails every commit."""
        await self._answer(self._connection.execute(query("notify")))

    async def head(self) -> Cursor:
        row = await self._answer(self._connection.fetchrow(query("head")))
        return Cursor(*row) if row else GENESIS

    @property
    def reader(self) -> "Connection":
        """To read over between two calls."""
        return self._connection

    async def _call(self, function: str, *values: object) -> Outcome:
        row = await self._answer(self._connection.fetchrow(query(function), *values))
        assert row is not None
        outcome = Outcome(*row)
        if outcome.believed_us is not None:
            self._clock.set(outcome.believed_us)
        return outcome

    async def _answer(self, asked: "Coroutine[Any, Any, T]") -> "T":
        """Answer, or the end of the connection after ANSWER_S_MAX.

        Not a timeout of asyncpg's: that asks Postgres to cancel, which ends the wait for a synchronous
        standby and shows rows that are on one machine only. For the same reason nobody cancels a call.
        """
        timer = asyncio.get_running_loop().call_later(ANSWER_S_MAX, self.terminate)
        try:
            return await asked
        finally:
            timer.cancel()

    @property
    def closed(self) -> bool:
        return self._connection.is_closed()

    def terminate(self) -> None:
        """Close at once; the server rolls back what was not committed."""
        self._connection.terminate()

    async def close(self) -> None:
        await self._connection.close(timeout=ANSWER_S_MAX)
