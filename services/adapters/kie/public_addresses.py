"""SSRF guard: HTTP connections to public addresses only.

A name is resolved here and the checked address itself is connected to: DNS rebinding leads nowhere. TLS still
speaks of the name. Behind a proxy, which connects by itself, the check before the request (`require_public`)
has to do.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Collection, Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore  # the part of httpx that makes the connections
import httpx

from services.adapters.kie.errors import BrokenResultError
from services.adapters.kie.failures import KieFailure
from services.platform.tls import tls_context

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Origin = tuple[str, int]
"""Host in lower case and port."""

_PORTS: Final = {"http": 80, "https": 443}
_UNICAST: Final = ipaddress.ip_network("2000::/3")
"""IPv6 as given out so far. Elsewhere: NAT64, IPv4 mapped and compatible, site-local, multicast."""
_LEADING_ELSEWHERE: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # protocols between IPv4 and IPv6
        "192.88.99.0/24",  # the way into 6to4
        "2001::/23",  # Teredo and other special uses
        "2001:db8::/32",  # documentation, as the next one
        "3fff::/20",
        "2002::/16",  # 6to4: an IPv4 address in disguise
    )
)


def origin_of(url: str) -> Origin | None:
    """Host and port of an http(s) URL; None when it is not one."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname and parts.scheme in _PORTS else None


async def require_public(host: str, port: int) -> list[Address]:
    """Resolve a host to addresses, all of them public. Raises BrokenResultError."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _broken("its host has no address", passing=True) from None
    addresses = [ipaddress.ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found]
    if not all(map(is_public, addresses)):
        raise _broken("its host is not a public one")
    return addresses


def is_public(address: Address) -> bool:
    """Whether an address is one public machine, reached without a translator. What carries an IPv4 address
    inside (mapped, NAT64, 6to4, Teredo) is refused whatever that address is."""
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if address.version == 6 and address not in _UNICAST:
        return False
    return not any(address in network for network in _LEADING_ELSEWHERE)


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


def public_client(
    trusted: Collection[Origin], *, use_proxies: bool, verify: ssl.SSLContext | None = None, **options: Any
) -> httpx.AsyncClient:
    client = httpx.AsyncClient(verify=verify or tls_context(), trust_env=use_proxies, **options)
    # httpx has no other way to say this without giving up the proxies of the environment; a test holds it.
    direct: Any = client._transport
    direct._pool._network_backend = PublicOnly(trusted)
    return client


def _broken(words: str, *, passing: bool = False) -> BrokenResultError:
    return BrokenResultError(KieFailure("result_broken", "", words), passing=passing)
