"""Connections to public addresses only, for fetching what somebody else names.

A name is resolved here, and the very address that was checked is connected to: a name whose answer changes
between check and connection (DNS rebinding) leads nowhere. TLS still speaks of the name. What goes through a
proxy is connected by the proxy; there the check before the request (`require_public`) has to do.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Collection, Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore  # the part of httpx that makes the connections
import httpx

from events.job import Failure
from services.adapters.kie.errors import ResultBroken

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Origin = tuple[str, int]
"""Host in lower case and port."""

_PORTS: Final = {"http": 80, "https": 443}


def origin_of(url: str) -> Origin | None:
    """Where an http(s) address leads; None when it is not one."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname and parts.scheme in _PORTS else None


async def require_public(host: str, port: int) -> list[Address]:
    """The host's addresses, all of them public. Raises ResultBroken."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _broken("its host has no address", passing=True) from None
    addresses = [_plain(str(sockaddr[0])) for *_, sockaddr in found]
    if not all(address.is_global for address in addresses):
        raise _broken("its host is not a public one")
    return addresses


class PublicOnly(httpcore.AsyncNetworkBackend):
    """Connects to public addresses, and to `trusted` origins wherever they are."""

    def __init__(self, trusted: Collection[Origin]) -> None:
        self._trusted = frozenset(trusted)
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        trusted = (host, port) in self._trusted
        targets = [host] if trusted else [str(address) for address in await require_public(host, port)]
        trouble: Exception = httpcore.ConnectError("no address")
        for target in targets:
            try:
                return await self._inner.connect_tcp(target, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                trouble = error
        raise trouble

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def public_client(trusted: Collection[Origin], *, use_proxies: bool, **options: Any) -> httpx.AsyncClient:
    """An HTTP client that connects to public addresses and `trusted` origins only."""
    client = httpx.AsyncClient(trust_env=use_proxies, **options)
    # httpx has no other way to say this without giving up the proxies of the environment; a test holds it.
    direct: Any = client._transport
    direct._pool._network_backend = PublicOnly(trusted)
    return client


def _plain(text: str) -> Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address


def _broken(words: str, *, passing: bool = False) -> ResultBroken:
    return ResultBroken(Failure("result_broken", "", words), passing=passing)
