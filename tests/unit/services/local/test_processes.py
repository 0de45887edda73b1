"""Ports for processes that listen later."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from services.local.processes import free_port

OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_a_free_port_is_none_that_an_outgoing_connection_may_get() -> None:
    first = int(OUTGOING.read_text().split()[0]) if OUTGOING.exists() else 49_152
    port = free_port("127.0.0.1")
    assert port < first
    with socket.create_server(("127.0.0.1", port)):
        assert free_port("127.0.0.1") != port


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port is looked for, and not kept")
def test_a_free_port_is_kept_from_other_processes_until_it_is_listened_on() -> None:
    port = free_port("127.0.0.1")
    asks = f"import socket; socket.socket().bind(('127.0.0.1', {port}))"  # as `free_port` does there
    assert subprocess.run([sys.executable, "-c", asks], stderr=subprocess.DEVNULL, check=False).returncode
    for _ in range(2):  # again after a restart
        listens = f"import socket; socket.create_server(('127.0.0.1', {port}))"
        subprocess.run([sys.executable, "-c", listens], check=True)
