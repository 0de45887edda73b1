"""The databases `neurocards up` needs: the configured ones, or embedded ones it keeps running."""

import asyncio
from collections.abc import Callable

import asyncpg
import structlog

from services.backup.repository import open_repository
from services.local.data_dir import DataFolder
from services.local.postgres import EmbeddedPostgres
from services.local.valkey import EmbeddedValkey
from services.platform.settings import Settings

logger = structlog.get_logger()

DATABASE = "neurocards"
ARCHIVE_TIMEOUT_S = 60
"""How much of the newest log is in no archive at most, when the machine is lost."""
_WATCH_INTERVAL_S = 0.5


class Infrastructure:
    """Starts what has no URL configured; `keep_running` starts again what dies."""

    def __init__(self, settings: Settings, folder: DataFolder) -> None:
        self.database_url = settings.database_url or ""
        self.redis_url = settings.redis_url or ""
        sockets = folder.socket_folder() if not (settings.database_url and settings.redis_url) else folder.run
        self._postgres: EmbeddedPostgres | None = None
        self._valkey: EmbeddedValkey | None = None
        if settings.database_url is None:
            self._postgres = EmbeddedPostgres(
                folder.postgres, sockets, folder.log_path("postgres"), options=archiving(settings)
            )
        if settings.redis_url is None:
            self._valkey = EmbeddedValkey(folder.valkey, sockets, folder.log_path("valkey"))

    @property
    def embedded(self) -> list[str]:
        """Which servers are ours, e.g. ["Postgres", "Valkey"]."""
        return [*(["Postgres"] if self._postgres else []), *(["Valkey"] if self._valkey else [])]

    async def start(self) -> None:
        """Raises StartError with what to do."""
        servers = [server for server in (self._postgres, self._valkey) if server]
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))
        if self._postgres:
            await _ensure_database(self._postgres.url())
            self.database_url = self._postgres.url(DATABASE)
        if self._valkey:
            self.redis_url = self._valkey.url()

    async def keep_running(self, started_again: Callable[[], None] = lambda: None) -> None:
        """Start a server again when it has died. Never returns."""
        while True:
            await asyncio.sleep(_WATCH_INTERVAL_S)
            for server in (self._postgres, self._valkey):
                if server and server.program and server.program.exit_code is not None:
                    name, code = server.program.name, server.program.exit_code
                    logger.error("server_died", server=name, code=code, log=str(server.program.log_path))
                    await asyncio.to_thread(server.start)
                    logger.warning("server_restarted", server=name)
                    started_again()

    def pids(self) -> dict[str, int]:
        found = {"postgres": self._postgres, "valkey": self._valkey}
        return {name: server.pid for name, server in found.items() if server and server.pid}

    async def stop(self) -> None:
        """Both at once; their data is whole on disk afterwards."""
        servers = [server for server in (self._postgres, self._valkey) if server]
        await asyncio.gather(*(asyncio.to_thread(server.stop) for server in servers))


def archiving(settings: Settings) -> dict[str, str]:
    """Postgres's settings that keep WAL for restores: always with BACKUP_DIR, else once there is a backup."""
    repository = open_repository(settings)
    if settings.backup_dir is not None:
        repository.prepare()
    return {
        "archive_mode": "on",
        "archive_command": repository.archive_command(only_with_backups=settings.backup_dir is None),
        "archive_timeout": f"{ARCHIVE_TIMEOUT_S}s",
    }


async def _ensure_database(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()
