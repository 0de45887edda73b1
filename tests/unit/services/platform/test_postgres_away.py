"""Every list of what a database raises that is away knows all of it, and also one that can only be read."""

import asyncpg

from ledger.postgres import DATABASE_ERRORS, TRANSIENT, refuses_data
from services.platform.errors import explain
from services.platform.outage_log import is_database_away
from tests.support.each import each

LISTS = {"transient": TRANSIENT, "all": DATABASE_ERRORS}
AWAY = [
    asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"),
    asyncpg.TargetServerAttributeNotMatched("no host is read-write"),
    asyncpg.CannotConnectNowError("starting up"),
    asyncpg.AdminShutdownError("terminated"),
    asyncpg.TooManyConnectionsError("too many"),
    asyncpg.DiskFullError("full"),
    asyncpg.LockNotAvailableError("locked"),
    asyncpg.SerializationError("again"),
    asyncpg.TransactionTimeoutError("too long"),
    asyncpg.ConnectionDoesNotExistError("closed"),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.InternalClientError("cannot switch to state"),
    ConnectionResetError("reset"),
    TimeoutError(),
]


@each("error", AWAY)
@each("name", LISTS)
def test_whoever_can_wait_waits_for_it(name: str, error: Exception) -> None:
    assert isinstance(error, LISTS[name])
    assert not refuses_data(error)


@each(
    ("code", "final"), [("22003", True), ("23505", True), ("23514", True), ("25006", False), ("XX000", False)]
)
def test_only_what_is_said_of_the_rows_is_final(code: str, final: bool) -> None:
    assert refuses_data(asyncpg.PostgresError.new({"C": code, "M": "no"})) == final


def test_a_wrong_argument_is_not_a_database_that_is_away() -> None:
    assert not is_database_away(asyncpg.exceptions._base.DataError("invalid input"))


@each("error", AWAY[:2])
def test_commands_say_that_it_can_only_be_read(error: Exception) -> None:
    assert "can only be read" in str(explain(error))
