"""Writes how the migrations make the door: `python -m tests.support.door_definitions`."""

import asyncio
import contextlib
from pathlib import Path

import asyncpg

from projections.verify import door
from tests.support import servers

FILE = Path(door.__file__).with_name("door.txt")


async def definitions(url: str) -> str:
    """Of a migrated database."""
    connection = await asyncpg.connect(url)
    try:
        return door.text(await door.found(connection))
    finally:
        await connection.close()


if __name__ == "__main__":
    try:
        with contextlib.closing(servers.session_postgres()) as server, server.database() as url:
            FILE.write_text(asyncio.run(definitions(url)), "utf-8")
    finally:
        servers.end_session(servers.session_pid())
