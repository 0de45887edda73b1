"""Ports for processes that listen later."""

import socket
from pathlib import Path

from services.local.processes import free_port

OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_a_free_port_is_none_that_an_outgoing_connection_may_get() -> None:
    first = int(OUTGOING.read_text().split()[0]) if OUTGOING.exists() else 49_152
    port = free_port("127.0.0.1")
    assert port < first
    with socket.create_server(("127.0.0.1", port)):
        assert free_port("127.0.0.1") != port
