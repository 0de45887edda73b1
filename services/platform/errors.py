"""Errors of starting and running a process, and their explanations."""

import errno
import sys
import traceback

from events.errors import NeurocardsError


class SettingsError(NeurocardsError):
    """Settings missing or wrong: one line each, naming its variable."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StartError(NeurocardsError):
    """A process or server could not start; the message says what to do."""


class UnsafeDatabaseError(StartError):
    """The database is configured in a way that can lose committed credits."""


def explain(error: BaseException) -> str | None:
    """Explain a failure outside, without addresses (passwords); None: our defect."""
    if isinstance(error, NeurocardsError):
        return str(error)
    return _of_redis(error) or _of_postgres(error) or _of_system(error)


def _of_redis(error: BaseException) -> str | None:
    if "redis" not in sys.modules:
        return None
    from redis import exceptions as redis

    below = error.__cause__ or error.__context__ if isinstance(error, redis.RedisError) else None
    cause = below if isinstance(below, redis.RedisError) else error
    match cause:
        case redis.AuthenticationError():
            return "Redis refuses the user or password in REDIS_URL, or wants one"
        case redis.InvalidResponse():
            return "what answers at REDIS_URL is no Redis: is the address right?"
        case redis.ResponseError():
            return f"Redis refuses: {cause}"
        case redis.ConnectionError() if type(error).__name__ == "MasterNotFoundError":
            return "no Sentinel in REDIS_URL names a primary: do they answer, is NAME right, their password?"
        case redis.ConnectionError() | redis.TimeoutError():
            name = type(below or error).__name__
            return f"Redis does not answer at REDIS_URL ({name}); is it running, is the address right?"
        case _:
            return None


def _of_postgres(error: BaseException) -> str | None:
    if "asyncpg" not in sys.modules:
        return None
    import asyncpg

    words = str(error).partition("\n")[0]  # without its details
    match error:
        case asyncpg.ClientConfigurationError():
            return f"DATABASE_URL: {words}"
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            return "Postgres refuses the user or password in DATABASE_URL"
        case asyncpg.InvalidCatalogNameError():
            return "the database named in DATABASE_URL does not exist; create it"
        case asyncpg.UndefinedObjectError() | asyncpg.InvalidParameterValueError() if "role" in words:
            return f"Postgres lacks a role ({words}); run `neurocards migrate`"
        case asyncpg.UndefinedObjectError() if "configuration parameter" in words:
            return f"DATABASE_URL: {words}"
        case asyncpg.InsufficientPrivilegeError():
            return (
                f"the user in DATABASE_URL has not the right ({words}): GRANT it neurocards_reader to read, "
                "neurocards_app for the rest; `migrate`, `replay` and `recover` need the tables' owner"
            )
        case (
            asyncpg.UndefinedTableError() | asyncpg.UndefinedColumnError() | asyncpg.UndefinedFunctionError()
            | asyncpg.InvalidSchemaNameError()
        ):  # fmt: skip
            return f"the database is older than this program ({words}); run `neurocards migrate`"
        case asyncpg.ReadOnlySQLTransactionError() | asyncpg.TargetServerAttributeNotMatched():
            return "Postgres at DATABASE_URL can only be read: is it a replica, or is its disk full?"
        case (
            asyncpg.PostgresConnectionError() | asyncpg.OperatorInterventionError()
            | asyncpg.InsufficientResourcesError() | asyncpg.TransactionRollbackError()
            | asyncpg.LockNotAvailableError() | asyncpg.InternalClientError()
        ):  # fmt: skip
            return f"Postgres broke off: {words}; try again"
        case OSError() if _came_through("asyncpg", error):
            reason = words or type(error).__name__
            return (
                f"Postgres does not answer at DATABASE_URL ({reason}); is it running, is the address right?"
            )
        case asyncpg.InterfaceError() if "connection" in words or "pool is clos" in words:
            return f"Postgres broke off: {words}; try again"
        case _:
            return None


def _came_through(package: str, error: BaseException) -> bool:
    names = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(name.partition(".")[0] == package for name in names)


def _of_system(error: BaseException) -> str | None:
    match error:
        case OSError(errno=errno.EPIPE):
            return None  # who read what we print has left: nobody is there to be told
        case OSError(filename=str() | bytes() as name, strerror=reason):
            return f"{name!s} cannot be used: {reason}"
        case OSError(errno=None):
            return None  # raised by code, not by the system, such as a TimeoutError of ours
        case OSError():
            return f"the system refuses: {error.strerror or str(error) or type(error).__name__}"
        case _:
            return None
