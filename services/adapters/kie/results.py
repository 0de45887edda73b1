"""Fetching a finished video: only from where it may come, only so much, only if it is a video.

The address is the provider's word, so it may not lead into our own network: hosts listed as trusted (the
provider's own base addresses, which may be the sandbox on this machine) pass; every other must resolve to
public addresses only, at each redirect anew.
"""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Collection
from urllib.parse import urljoin, urlsplit

import httpx

from events.job import Failure
from services.adapters.kie.envelope import trouble_named
from services.adapters.kie.errors import KieNoAnswer, ResultBroken
from services.adapters.kie.metrics import measured
from services.shared.blobs import BlobStore, BlobTooLarge, StoredBlob
from services.shared.scrubbing import scrub

VIDEO_BYTES_MAX = 300 * 1024 * 1024
DOWNLOAD_S = 180.0
REDIRECTS_MAX = 3
_HEAD_BYTES = 12


class ResultFetcher:
    """Downloads results into the blob store.

    `trusted` holds `host` or `host:port` as they stand in a URL. With `only`, a non-empty list of host names,
    anything else must be one of them or below one of them.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        blobs: BlobStore,
        trusted: Collection[str],
        only: Collection[str] = (),
    ) -> None:
        self._client = client
        self._blobs = blobs
        self._trusted = frozenset(trusted)
        self._only = tuple(only)

    @measured("fetch")
    async def fetch(self, url: str, key: str) -> StoredBlob:
        """Store the video at `url` under `key`, whole or not at all. Raises ResultBroken."""
        try:
            async with trouble_named(DOWNLOAD_S):
                return await self._blobs.put(key, self._video(url), size_bytes_max=VIDEO_BYTES_MAX)
        except BlobTooLarge:
            raise _broken(f"the file is larger than {VIDEO_BYTES_MAX} bytes") from None
        except KieNoAnswer as error:
            raise _broken(error.failure.message or error.failure.code, passing=True) from error

    async def _video(self, url: str) -> AsyncIterator[bytes]:
        response = await self._open(url)
        try:
            head = b""
            checked = False
            async for chunk in response.aiter_bytes():
                if checked:
                    yield chunk
                    continue
                head += chunk
                if len(head) >= _HEAD_BYTES:
                    _require_video(head)
                    checked = True
                    yield head
            if not checked:
                _require_video(head)
                yield head
        finally:
            await response.aclose()

    async def _open(self, url: str) -> httpx.Response:
        for _ in range(REDIRECTS_MAX + 1):
            await self.require_allowed(url)
            response = await self._client.send(self._client.build_request("GET", url), stream=True)
            if response.status_code == 200:
                return response
            await response.aclose()
            if response.status_code not in (301, 302, 303, 307, 308):
                # Fresh results may take a moment to reach the provider's file servers.
                raise _broken(f"the file's address answers {response.status_code}", passing=True)
            url = urljoin(url, response.headers.get("location", ""))
        raise _broken("too many redirects")

    async def require_allowed(self, url: str) -> None:
        """Raise ResultBroken unless the address may be fetched."""
        try:
            parts = urlsplit(url)
            host, netloc = parts.hostname or "", parts.netloc.rpartition("@")[2]
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            raise _broken("its address is not one") from None
        if parts.scheme not in ("http", "https") or not host:
            raise _broken("its address is not http(s)")
        if netloc in self._trusted or host in self._trusted:
            return
        if self._only and not any(host == name or host.endswith("." + name) for name in self._only):
            raise _broken("its host is not on the list of result hosts (KIE_RESULT_HOSTS)")
        for address in await _addresses(host, port):
            if not address.is_global:
                raise _broken("its host is not a public one")


async def _addresses(host: str, port: int) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise _broken("its host has no address", passing=True) from None
    return [_plain(str(sockaddr[0])) for *_, sockaddr in found]


def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address


def _require_video(head: bytes) -> None:
    """MP4 and its kin begin with a size and `ftyp`; WebM with the EBML mark."""
    if head[4:8] != b"ftyp" and not head.startswith(b"\x1a\x45\xdf\xa3"):
        raise _broken("the file is not a video")


def _broken(words: str, *, passing: bool = False) -> ResultBroken:
    return ResultBroken(Failure("result_broken", "", scrub(words)), passing=passing)
