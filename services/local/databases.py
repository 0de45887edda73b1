"""Databases for `neurocards up`: the configured ones, or embedded servers."""

import asyncio
from collections.abc import Callable

import asyncpg
import structlog

from services.backup.repository import open_repository
from services.local.data_dir import DataFolder
from services.local.embedded_server import EmbeddedServer
from services.local.postgres import EmbeddedPostgres
from services.local.valkey import EmbeddedValkey
from services.platform.settings import Settings

logger = structlog.get_logger()

DATABASE = "neurocards"
ARCHIVE_TIMEOUT_S = 60
"""How much of the newest log is in no archive at most, when the machine is lost."""
_WATCH_INTERVAL_S = 0.5


class Databases:
    def __init__(self, settings: Settings, folder: DataFolder) -> None:
        self.database_url = settings.database_url or ""
        self.redis_url = settings.redis_url or ""
        self._servers: list[EmbeddedServer] = []
        if settings.database_url is None:
            log, options = folder.log_path("postgres"), archiving(settings)
            postgres = EmbeddedPostgres(folder.postgres, folder.socket_folder(), log, options=options)
            self._servers.append(postgres)
            self.database_url = postgres.url(DATABASE)
            self._maintenance_url = postgres.url()
        if settings.redis_url is None:
            valkey = EmbeddedValkey(folder.valkey, folder.socket_folder(), folder.log_path("valkey"))
            self._servers.append(valkey)
            self.redis_url = valkey.url()

    @property
    def embedded(self) -> list[str]:
        return [server.name for server in self._servers]

    async def start(self) -> None:
        """Raises StartError with what to do."""
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in self._servers))
        if EmbeddedPostgres.name in self.embedded:
            await _ensure_database(self._maintenance_url)

    async def keep_running(self, started_again: Callable[[], None] = lambda: None) -> None:
        """Restart servers that died. Never returns."""
        while True:
            await asyncio.sleep(_WATCH_INTERVAL_S)
            for server in self._servers:
                if (code := server.exit_code) is not None:
                    logger.error("server_died", server=server.name, code=code, log=str(server.log_path))
                    await asyncio.to_thread(server.start)
                    logger.warning("server_restarted", server=server.name)
                    started_again()

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
    connection = await asyncpg.connect(url, timeout=10)
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()
