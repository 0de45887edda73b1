"""Hosts on this machine, each in a network namespace of its own: an address, a cable that can be pulled."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Final

SUBNET: Final = "10.77.0"
MIDDLE: Final = f"{SUBNET}.1"
"""The address of this process and of all that it starts outside of the hosts."""


class Host:
    def __init__(self, bridge: str, number: int) -> None:
        self.name, self.address = f"{bridge}-{number}", f"{SUBNET}.{10 + number}"
        self.command: Final = ("ip", "netns", "exec", self.name)
        """What comes before the words of a program that shall run there."""
        cable = f"{bridge}h{number}"
        _ip("netns", "add", self.name)
        _ip("link", "add", cable, "type", "veth", "peer", "eth0", "netns", self.name)
        _ip("link", "set", cable, "master", bridge, "up")
        for words in (
            ("addr", "add", f"{self.address}/24", "dev", "eth0"), ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):  # fmt: skip
            _ip("-n", self.name, *words)
        self._cable = cable

    def cut_off(self) -> None:
        """Nothing comes or goes, and nobody is told."""
        _ip("link", "set", self._cable, "down")

    def join(self) -> None:
        _ip("link", "set", self._cable, "up")


def missing() -> str | None:
    """Why there can be no hosts here; None: there can."""
    if shutil.which("ip") is None:
        return "no `ip` here (Debian's package is `iproute2`)"
    tried = subprocess.run(
        ["ip", "netns", "add", name := f"nc{os.getpid()}"], check=False, capture_output=True
    )
    if tried.returncode:
        return f"no network namespace can be made: {tried.stderr.decode().strip()}"
    _ip("netns", "del", name)
    return None


@contextlib.contextmanager
def hosts(count: int) -> Iterator[list[Host]]:
    bridge = f"nc{os.getpid()}"
    made: list[Host] = []
    try:
        _ip("link", "add", bridge, "type", "bridge")
        _ip("addr", "add", f"{MIDDLE}/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for number in range(1, count + 1):
            made.append(Host(bridge, number))
        yield made
    finally:
        for host in made:
            _ip("netns", "del", host.name)
        _ip("link", "del", bridge)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
