"""Writes how the migrations make the door: `python -m tests.support.expected_schema`."""

import asyncio
import contextlib
from pathlib import Path

import asyncpg

from projections.verify import schema_drift
from tests.support import servers

FILE = Path(schema_drift.__file__).with_name("expected_schema.txt")


async def definitions(url: str) -> str:
    """Of a migrated database."""
    connection = await asyncpg.connect(url)
    try:
        return schema_drift.text(await schema_drift.found(connection))
    finally:
        await connection.close()


if __name__ == "__main__":
    try:
        with contextlib.closing(servers.session_postgres()) as server, server.database() as url:
            FILE.write_text(asyncio.run(definitions(url)), "utf-8")
    finally:
        servers.end_session(servers.session_pid())
