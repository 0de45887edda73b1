"""A URL with several hosts: one that says nothing keeps nobody from the next."""

import socket
from pathlib import Path

import asyncpg
import pytest

from ledger.postgres import READ_WRITE, connect_in_turn
from services.local.processes import free_port
from tests.support import servers

HOST = "127.0.0.1"


async def test_the_next_host_is_asked_when_one_is_frozen_gone_or_can_only_be_read(tmp_path: Path) -> None:
    port = free_port(HOST)
    with (
        servers.own_postgres(tmp_path, listen_addresses=HOST, port=str(port)),
        socket.create_server((HOST, 0)) as silent,
    ):
        settled = f"postgresql://postgres@{HOST}:{port}/postgres?target_session_attrs=read-write"
        reading = await connect_in_turn(settled, server_settings={"default_transaction_read_only": "on"})
        assert await reading.fetchval("SHOW transaction_read_only") == "on"
        await reading.close()
        hosts = [f"{HOST}:{silent.getsockname()[1]}", f"{HOST}:9", f"{HOST}:{port}"]
        good = await connect_in_turn(f"postgresql://postgres@{','.join(hosts)}/postgres", timeout=6)
        assert await good.fetchval("SELECT inet_server_port()") == port
        await good.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
        await good.close()
        only_this = f"postgresql://postgres@{HOST}:9,{HOST}:{port}/postgres"
        with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
            await connect_in_turn(only_this, timeout=6, target_session_attrs=READ_WRITE)
        with pytest.raises(OSError):
            await connect_in_turn(
                f"postgresql://postgres@{HOST}:{port},{HOST}:9/postgres?target_session_attrs=read-write",
                timeout=6,
            )
