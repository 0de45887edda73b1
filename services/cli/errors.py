"""How commands end: with an exit code that says what kind of end it was, and without a traceback."""

import sys
from enum import IntEnum
from typing import Any

import typer
from typer.core import TyperGroup


class ExitCode(IntEnum):
    """2 is also "not confirmed"; 5: some of what was asked is done; Ctrl-C ends with what shells use."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    INTEGRITY = 3
    NOT_FOUND = 4
    PARTLY = 5
    INTERRUPTED = 130


class TidyGroup(TyperGroup):
    """Ends a command that raised one of our errors, or lost a server, with one message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        from events.errors import NeurocardsError

        try:
            return super().invoke(ctx)
        except NeurocardsError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(exit_code_of(error)) from None
        except Exception as error:
            words = trouble_of(error)
            if words is None:
                raise
            typer.echo(words, err=True)
            raise typer.Exit(ExitCode.FAILURE) from error


def exit_code_of(error: BaseException) -> ExitCode:
    """Which kind of end one of our errors is."""
    from ledger.errors import IntegrityError, NoSuchJob, NoSuchPayment, NoSuchPromo, NoSuchRefund
    from ledger.note import MalformedKey
    from projections.errors import NoSuchProjection, NotInLog, RebuildDiffers
    from services.local.backups.client import BackupDamaged
    from services.local.backups.repository import NoSuchBackup
    from services.shared.errors import SettingsError

    match error:
        case SettingsError() | MalformedKey():
            return ExitCode.USAGE
        case NotInLog() | NoSuchProjection() | NoSuchBackup():
            return ExitCode.NOT_FOUND
        case NoSuchJob() | NoSuchPayment() | NoSuchPromo() | NoSuchRefund():
            return ExitCode.NOT_FOUND
        case IntegrityError() | RebuildDiffers() | BackupDamaged():
            return ExitCode.INTEGRITY
        case _:
            return ExitCode.FAILURE


def trouble_of(error: Exception) -> str | None:
    """In words: a server that broke off in the middle, or has other tables. None for what is a bug of ours.

    Addresses are left out, as they may hold passwords.
    """
    if "redis" in sys.modules:
        from redis.exceptions import ConnectionError as Away
        from redis.exceptions import TimeoutError as Late

        if isinstance(error, Away | Late):
            return f"Redis does not answer at REDIS_URL ({type(error).__name__}); is it running?"
    if "asyncpg" not in sys.modules:
        return None
    import asyncpg

    match error:
        case (
            asyncpg.UndefinedTableError() | asyncpg.UndefinedColumnError() | asyncpg.UndefinedFunctionError()
        ):
            return f"the database is older than this program ({error}); run `neurocards migrate`"
        case asyncpg.ReadOnlySQLTransactionError() | asyncpg.TargetServerAttributeNotMatched():
            from services.shared.database import start_error

            return str(start_error(error))
        case (
            asyncpg.PostgresConnectionError() | asyncpg.QueryCanceledError() | asyncpg.CannotConnectNowError()
        ):
            return f"Postgres broke off: {error}; try again"
        case asyncpg.InterfaceError() if "connection" in str(error):
            return f"Postgres broke off: {error}; try again"
        case _:
            return None
