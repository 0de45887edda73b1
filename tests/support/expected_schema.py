"""Writes how the migrations make everything of ours: `python -m tests.support.expected_schema`."""

import asyncio
import tempfile
from pathlib import Path

import asyncpg

from projections.verify import schema_drift
from services.migrations import migrate
from tests.support import servers

FILE = Path(schema_drift.__file__).with_name("expected_schema.txt")


async def definitions(url: str) -> str:
    """What migrating makes of an empty database. In a cluster of its own: tests give roles more."""
    await migrate(url)
    connection = await asyncpg.connect(url)
    try:
        return schema_drift.text(await schema_drift.found(connection))
    finally:
        await connection.close()


if __name__ == "__main__":
    try:
        with tempfile.TemporaryDirectory() as folder, servers.own_postgres(Path(folder)) as server:
            FILE.write_text(asyncio.run(definitions(server.url())), "utf-8")
    finally:
        servers.end_session(servers.session_pid())
