"""A real Postgres that archives as docker-compose.yml tells it to, with a folder for backups."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from ledger.log.ledger import Ledger
from projections.verify.run import check_ledger
from services.backup.repository import Repository, new_label
from services.cli import connections
from services.cli.main import app
from services.local.data_dir import DataFolder
from services.local.postgres import EmbeddedPostgres
from services.migrations import migrate
from services.platform.settings import Settings, load_settings
from tests.support.cli_runner import CliRunner, Result
from tests.support.compose import load
from tests.support.servers import fresh_cluster
from tests.support.traffic import Traffic
from tests.support.waiting import eventually

IN_COMPOSE = {
    "/usr/local/lib/neurocards/archive_wal.sh": "archive_wal.sh",
    "/backups/wal": "wal",
}


def archiving(repository: Repository) -> dict[str, str]:
    """What the file tells its Postgres, with its paths translated."""
    words = load()["services"]["postgres"]["command"]
    options = dict(word.split("=", 1) for word in words if "=" in word)
    for path, name in IN_COMPOSE.items():
        assert path in options["archive_command"]
        options["archive_command"] = options["archive_command"].replace(path, str(repository.root / name))
    return {**options, "wal_level": "replica", "max_wal_senders": "4", "full_page_writes": "on"}


class Place:
    """A data folder with a Postgres that archives, and a backup folder."""

    def __init__(self, root: Path) -> None:
        self.folder = DataFolder(root / "data")
        self.folder.prepare()
        fresh_cluster(self.folder.postgres)
        self.repository = Repository(root / "backups")
        self.repository.prepare()
        self.server = self.postgres(self.folder.postgres, "live", archiving(self.repository))
        self.server.start()

    def postgres(self, data: Path, name: str, options: dict[str, str]) -> EmbeddedPostgres:
        sockets = self.folder.run / name
        sockets.mkdir(exist_ok=True)
        sockets.chmod(0o711)
        return EmbeddedPostgres(data, sockets, self.folder.logs / name, durable=False, options=options)

    @property
    def settings(self) -> Settings:
        return load_settings(
            database_url=self.server.url("neurocards"),
            data_dir=self.folder.root,
            backup_dir=self.repository.root,
        )

    async def command(self, *words: str, **more: str) -> Result:
        """`neurocards backup …`, in this process, with more settings."""
        env = more | {
            "DATABASE_URL": self.server.url("neurocards"),
            "NEUROCARDS_DATA_DIR": str(self.folder.root),
            "BACKUP_DIR": str(self.repository.root),
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connections, "configure_command_logging", lambda *_: None)
            return await asyncio.to_thread(CliRunner().invoke, app, ["backup", *words], env=env)


@contextlib.asynccontextmanager
async def placed(root: Path) -> AsyncIterator[Place]:
    place = Place(root)
    connection = await asyncpg.connect(place.server.url())
    await connection.execute("CREATE DATABASE neurocards")
    await connection.close()
    await migrate(place.server.url("neurocards"))
    yield place
    place.server.stop()


async def play(url: str, prefix: str) -> int:
    """Some traffic; the position it has come to."""
    async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool, Ledger(url, pool) as ledger:
        await Traffic(ledger, prefix=prefix).play(20)
        return (await ledger.read.head()).position


async def head(url: str) -> int:
    """Where the log ends; it must hold."""
    async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
        assert await check_ledger(pool) == []
        return int(await pool.fetchval("SELECT max(position) FROM events"))


def later_than(label: str) -> bool:
    return new_label() > label


async def archived(place: Place) -> None:
    """Wait until all WAL there is now has come to the archive."""
    connection = await asyncpg.connect(place.server.url())
    name = await connection.fetchval("SELECT pg_walfile_name(pg_switch_wal())")

    async def come() -> bool:
        """By Postgres's own word, which comes after the file."""
        last = await connection.fetchval("SELECT last_archived_wal FROM pg_stat_archiver")
        return last is not None and last >= name

    try:
        await eventually(come, what=f"{name} in the archive")
    finally:
        await connection.close()
