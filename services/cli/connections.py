"""Commands' settings, logs, and connections: read-only, ledger, or both servers.

Reading is done as the role `neurocards_reader`, which can only select, in read-only transactions. The
database is AUDIT_DATABASE_URL, e.g. a replica, or else DATABASE_URL. A login that may not act as that role,
because it is an auditor's own, is used as it is. What is heavy is imported only when a command runs.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from ledger.accounts.decider import NewEvents
    from ledger.commands import Command
    from ledger.log.batch import Receipt
    from ledger.log.ledger import Ledger
    from ledger.postgres import Pool, Reader
    from services.platform.settings import Settings
    from services.streams.publisher.scripts import Scripts

T = TypeVar("T")

AUDITOR_ROLE = "neurocards_reader"


def settings_here(only: Collection[str] | None = None, **overrides: Any) -> Settings:
    """Settings, with addresses of a running `neurocards up` where none are set."""
    from functools import partial

    from services.cli.output import say
    from services.local.data_dir import DataFolder
    from services.platform.settings import load_only, load_settings

    load = partial(load_settings if only is None else partial(load_only, only), **overrides)
    settings = load()
    if settings.database_url and settings.redis_url:
        return settings
    folder = DataFolder(settings.data_dir)
    if pid := folder.died():
        say(f"`neurocards up` (pid {pid}) on {folder.root} was killed; start it again")
    running = folder.running_addresses()
    found = {
        name: running[name]
        for name in ("database_url", "database_owner_url", "redis_url", "sandbox_url")
        if running.get(name) is not None and (only is None or name in only)
    }
    missing = {name: value for name, value in found.items() if getattr(settings, name) is None}
    return load(**missing) if missing else settings


def configure_command_logging(settings: Settings, command: str) -> None:
    """Log to stderr, only what is unusual unless LOG_LEVEL is set."""
    from services.platform.logs import configure_logging

    chosen = "log_level" in settings.model_fields_set
    configure_logging(settings if chosen else settings.replace(log_level="warning"), command)


def prepare(command: str) -> Settings:
    """Settings, with logs set up. Raises SettingsError."""
    settings = settings_here()
    configure_command_logging(settings, command)
    return settings


def run(command: str, work: Callable[[Settings], Coroutine[Any, Any, T]]) -> T:
    import asyncio

    return asyncio.run(work(prepare(command)))


def read(command: str, work: Callable[[Pool, Settings], Awaitable[T]]) -> T:
    async def on_pool(settings: Settings) -> T:
        async with auditor_pool(settings) as pool:
            return await work(pool, settings)

    return run(command, on_pool)


@asynccontextmanager
async def auditor_pool(
    settings: Settings, *, max_size: int = 2, statement_timeout_s: float | None = None
) -> AsyncIterator[Pool]:
    """Read-only pool; without `statement_timeout_s` a walk through the log may take its time.

    `json` columns arrive as text, times in UTC. Raises StartError with what to do.
    """
    import asyncpg
    import structlog

    from services.platform.database import UNUSABLE, start_error

    try:
        try:
            pool = await _open(settings, AUDITOR_ROLE, max_size, statement_timeout_s)
        except asyncpg.InsufficientPrivilegeError:
            used = "the login's own rights, read only"
            structlog.get_logger().warning("auditor_role_not_granted", used=used)
            pool = await _open(settings, None, max_size, statement_timeout_s)
    except UNUSABLE as error:
        raise start_error(error) from error
    async with pool:
        await tell_lag(pool)
        yield pool


async def tell_lag(reader: Reader) -> None:
    """Tell how old a replica's newest change is."""
    import structlog

    told = await reader.fetchrow(
        "SELECT at, extract(epoch FROM now() - at)::float8 FROM pg_last_xact_replay_timestamp() AS at "
        "WHERE pg_is_in_recovery()"
    )
    if told is not None:
        newest = (
            f"{told[0]:%Y-%m-%d %H:%M:%S} UTC, {told[1]:.0f} s ago" if told[0] else "from before its start"
        )
        structlog.get_logger().warning("read_from_a_replica", newest_change=newest)


async def _open(
    settings: Settings, role: str | None, max_size: int, statement_timeout_s: float | None
) -> Pool:
    import asyncpg

    from ledger.postgres import connect_in_turn
    from services.platform.database import CONNECT_TIMEOUT_S

    return await asyncpg.create_pool(
        settings.audit_database_url or settings.require_database_url(),
        connect=connect_in_turn,
        min_size=1,
        max_size=max_size,
        timeout=CONNECT_TIMEOUT_S,
        server_settings=reading_settings(role, statement_timeout_s),
    )


def reading_settings(role: str | None, statement_timeout_s: float | None = None) -> dict[str, str]:
    """Server settings of a read-only connection, for callers that open their own."""
    from services.platform.database import server_settings

    return server_settings("audit", role) | {
        "default_transaction_read_only": "on",
        "statement_timeout": f"{int((statement_timeout_s or 0) * 1000)}ms",
        "idle_in_transaction_session_timeout": "0",  # between two pages of a long walk
    }


def open_ledger(settings: Settings) -> AbstractAsyncContextManager[tuple[Ledger, Pool]]:
    """A ledger to write to and a pool to read from. Raises StartError with what to do."""
    from services.platform import process_ledger
    from services.platform.primary_mark import PrimaryMark

    return process_ledger.open_ledger(settings, "operator", max_size=2, mark=PrimaryMark)


async def decided(settings: Settings, command: Command) -> NewEvents:
    """What the command would append now. Raises the ledger's rejections."""
    async with open_ledger(settings) as (ledger, _):
        return await ledger.read.decided(command)


async def execute(settings: Settings, command: Command, key: str) -> Receipt:
    """Execute the command, idempotently by its key. Raises the ledger's rejections."""
    async with open_ledger(settings) as (ledger, _):
        return await ledger.execute(command, key=key)


def acting(command: str) -> str:
    """Actor of this command, `login:<database login>`: whom Postgres let in."""

    async def ask(settings: Settings) -> str:
        from services.platform.database import create_pool

        async with await create_pool(settings, "operator", max_size=1) as pool:
            return f"login:{await pool.fetchval('SELECT session_user')}"

    return run(command, ask)


def typed_command() -> str:
    """The command as it was typed, without options, e.g. `ledger explain`."""
    return " ".join(takewhile(lambda word: not word.startswith("-"), sys.argv[1:3]))


class Servers:
    """Redis and the primary Postgres: beside a lagging replica, streams would seem to be ahead."""

    def __init__(self, settings: Settings, pool: Pool, scripts: Scripts) -> None:
        self.settings = settings
        self.pool = pool
        self.scripts = scripts
        self.redis = scripts.redis


@asynccontextmanager
async def open_servers(settings: Settings, command: str) -> AsyncIterator[Servers]:
    """Open both servers. Raises StartError when Postgres does not answer."""
    from services.platform.database import patient_pool
    from services.platform.redis import command_client
    from services.streams.publisher.scripts import Scripts

    async with await patient_pool(settings, command) as pool, command_client(settings) as redis:
        yield Servers(settings, pool, Scripts(redis, ledger_entries_max=settings.stream_entries_max))


def on_servers(command: str, work: Callable[[Servers], Awaitable[T]]) -> T:
    import uvloop

    async def on_both(settings: Settings) -> T:
        async with open_servers(settings, command) as servers:
            return await work(servers)

    return uvloop.run(on_both(prepare(command)))
