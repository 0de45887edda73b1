"""Fetching a finished video: only from where it may come, only so much, only if it is a video.

The address is the provider's word, so it may not lead into our own network: origins listed as trusted (the
provider's own base addresses, which may be the sandbox on this machine) pass; every other must resolve to
public addresses only, at each redirect anew, and is connected to at an address that was checked
(public_only.py). A transfer that breaks goes on (transfer.py).
"""

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from urllib.parse import urljoin

import httpx

from services.adapters.kie.envelope import trouble_named
from services.adapters.kie.errors import KieNoAnswer
from services.adapters.kie.metrics import measured
from services.adapters.kie.public_only import Origin, origin_of, require_public
from services.adapters.kie.transfer import Transfer, broken
from services.shared.blobs import BlobStore, BlobTooLarge, StoredBlob

VIDEO_BYTES_MAX = 300 * 1024 * 1024
DOWNLOAD_S = 180.0
REDIRECTS_MAX = 3
_HEAD_BYTES = 12
_RAW_BYTES_MAX = 4096
_REDIRECTS = (301, 302, 303, 307, 308)


class ResultFetcher:
    """Downloads results into the blob store.

    `client` should be a `public_client`. With `only`, a non-empty list of host names, anything that is not
    `trusted` must be one of them or below one of them.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        blobs: BlobStore,
        trusted: Collection[Origin],
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
            async with trouble_named(DOWNLOAD_S), aclosing(self._video(url)) as video:
                return await self._blobs.put(key, video, size_bytes_max=VIDEO_BYTES_MAX)
        except BlobTooLarge:
            raise broken(f"the file is larger than {VIDEO_BYTES_MAX} bytes") from None
        except KieNoAnswer as error:
            raise broken(error.failure.message or error.failure.code, passing=True) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _video(self, url: str) -> AsyncGenerator[bytes, None]:
        transfer = Transfer(lambda headers: self._open(url, headers), VIDEO_BYTES_MAX)
        head = b""
        checked = False
        async with aclosing(transfer.chunks()) as chunks:
            async for chunk in chunks:
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

    async def _open(self, url: str, headers: dict[str, str]) -> httpx.Response:
        for _ in range(REDIRECTS_MAX + 1):
            await self.require_allowed(url)
            try:
                request = self._client.build_request("GET", url, headers=headers)
            except httpx.InvalidURL:
                raise broken("its address is not one") from None
            response = await self._client.send(request, stream=True)
            if response.status_code == 200 or (response.status_code == 206 and "Range" in headers):
                return response
            if response.status_code not in _REDIRECTS:
                # Fresh results may take a moment to reach the provider's file servers.
                words, raw = f"the file's address answers {response.status_code}", await _beginning(response)
                raise broken(words, passing=True, raw=raw)
            await response.aclose()
            url = urljoin(url, response.headers.get("location", ""))
        raise broken("too many redirects")

    async def require_allowed(self, url: str) -> None:
        """Raise ResultBroken unless the address may be fetched."""
        origin = origin_of(url)
        if origin is None:
            raise broken("its address is not http(s)")
        if origin in self._trusted:
            return
        host, port = origin
        if self._only and not any(host == name or host.endswith("." + name) for name in self._only):
            raise broken("its host is not on the list of result hosts (KIE_RESULT_HOSTS)")
        await require_public(host, port)


async def _beginning(response: httpx.Response) -> str:
    """The first words of an error page; closes the response."""
    try:
        async for chunk in response.aiter_bytes():
            return chunk[:_RAW_BYTES_MAX].decode("utf-8", "replace")
        return ""
    except httpx.HTTPError:
        return ""
    finally:
        await response.aclose()


def _require_video(head: bytes) -> None:
    """MP4 and its kin begin with a size and `ftyp`; WebM with the EBML mark."""
    if head[4:8] != b"ftyp" and not head.startswith(b"\x1a\x45\xdf\xa3"):
        raise broken("the file is not a video", raw=head[:_RAW_BYTES_MAX].decode("utf-8", "replace"))
