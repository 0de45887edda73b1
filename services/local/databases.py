"""Databases for `neurocards up`: the configured ones, or embedded servers."""

import asyncio
from collections.abc import Callable
from urllib.parse import quote

import structlog

from ledger.postgres import DATABASE_ERRORS
from services.backup.repository import open_repository
from services.local.data_dir import DataFolder
from services.local.embedded_server import EmbeddedServer
from services.local.postgres import EmbeddedPostgres
from services.local.valkey import EmbeddedValkey
from services.migrations import migrate
from services.migrations.logins import LOGINS, owner_connection, pass_file, pass_files, set_passwords
from services.platform.backoff import backoff_s
from services.platform.errors import StartError
from services.platform.redis import require_redis
from services.platform.settings import Settings

logger = structlog.get_logger()

DATABASE = "neurocards"
ARCHIVE_TIMEOUT_S = 60
"""How much of the newest log is in no archive at most, when the machine is lost."""
_WATCH_INTERVAL_S = 0.5


class Databases:
    def __init__(self, settings: Settings, folder: DataFolder) -> None:
        self.redis_url = settings.redis_url or ""
        self._settings = settings
        self._servers: list[EmbeddedServer] = []
        self._postgres: EmbeddedPostgres | None = None
        self._logins = folder.root / "logins"
        if settings.database_url is None:
            log, options = folder.log_path("postgres"), archiving(settings)
            sockets = folder.socket_folder()
            postgres = EmbeddedPostgres(folder.postgres, sockets, log, authenticate=True, options=options)
            self._servers.append(postgres)
            self._postgres = postgres
        if settings.redis_url is None:
            valkey = EmbeddedValkey(folder.valkey, folder.socket_folder(), folder.log_path("valkey"))
            self._servers.append(valkey)
            self.redis_url = valkey.url()

    @property
    def owner_url(self) -> str:
        """For what needs the owner's rights: migrations, rebuilds, backups."""
        return self._postgres.url(DATABASE) if self._postgres else self._settings.require_owner_url()

    def login_url(self, service: str) -> str:
        """A service's own login; the configured one where Postgres is not ours."""
        if self._postgres is None:
            return self._settings.require_database_url()
        path = quote(str(pass_file(self._logins, service)), safe="/")  # read anew for each connection
        return f"{self._postgres.url(DATABASE, LOGINS[service])}&passfile={path}"

    @property
    def embedded(self) -> list[str]:
        return [server.name for server in self._servers]

    async def start(self) -> None:
        """Raises StartError with what to do."""
        if self._settings.redis_url is not None:
            await require_redis(self._settings)
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in self._servers))
        if self._postgres:
            await _ensure_database(self._postgres.url())

    async def migrate(self) -> list[str]:
        """Apply missing migrations and let the services in; the names applied."""
        applied = await migrate(self.owner_url)
        await self._set_passwords()
        return applied

    async def _set_passwords(self) -> None:
        if self._postgres is not None:
            await set_passwords(self.owner_url, pass_files(self._logins))

    async def keep_running(self, started_again: Callable[[], None] = lambda: None) -> None:
        """Restart servers that died, however often it takes. Never returns."""
        await asyncio.gather(*(self._keep(server, started_again) for server in self._servers))
        await asyncio.Event().wait()

    async def _keep(self, server: EmbeddedServer, started_again: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(_WATCH_INTERVAL_S)
            if (code := server.exit_code) is None:
                continue
            logger.error("server_died", server=server.name, code=code, log=str(server.log_path))
            tries = 1
            while not await self._started(server, tries):
                await asyncio.sleep(backoff_s(tries, 0.5, 15.0))
                tries += 1
            logger.warning("server_restarted", server=server.name, tries=tries)
            started_again()

    async def _started(self, server: EmbeddedServer, tries: int) -> bool:
        """Whether it runs; a full disk may keep it from that for hours. The first failure is said."""
        try:
            if server.exit_code is not None:
                await asyncio.to_thread(server.start)
            if server is self._postgres:
                await self._set_passwords()  # a restored one has others
        except (StartError, OSError, *DATABASE_ERRORS) as error:
            if tries == 1:
                logger.error("server_not_started", server=server.name, reason=str(error))
            return False
        return True

    def pids(self) -> dict[str, int]:
        return {server.name.lower(): server.pid for server in self._servers if server.pid}

    async def stop(self) -> None:
        await asyncio.gather(*(asyncio.to_thread(server.stop) for server in self._servers))


def archiving(settings: Settings) -> dict[str, str]:
    """Postgres settings that archive WAL: always with BACKUP_DIR, else after the first backup."""
    repository = open_repository(settings)
    if settings.backup_dir is not None:
        repository.prepare()
    return {
        "archive_mode": "on",
        "archive_command": repository.archive_command(only_with_backups=settings.backup_dir is None),
        "archive_timeout": f"{ARCHIVE_TIMEOUT_S}s",
    }


async def _ensure_database(url: str) -> None:
    async with owner_connection(url) as connection:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
        # Locks taken in another database fill the same memory.
        await connection.execute("REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC")
