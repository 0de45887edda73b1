"""Download of result videos: SSRF guard, size limit, content check.

One that breaks off is not kept, and `passing`: the worker asks for it anew. The address is the provider's
word and may not lead into our network: `trusted` origins (the provider's own, perhaps the sandbox on this
machine) pass; all others must resolve to public addresses, at each redirect anew, and are connected to at a
checked address (public_addresses.py).
"""

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from urllib.parse import urljoin

import httpx

from services.adapters.kie.envelope import trouble_named
from services.adapters.kie.errors import BrokenResultError, KieNoAnswerError
from services.adapters.kie.failures import KieFailure
from services.adapters.kie.metrics import measured
from services.adapters.kie.public_addresses import Origin, origin_of, require_public
from services.platform.blobs import BlobConflictError, BlobStore, BlobTooLargeError, StoredBlob
from services.platform.scrub import scrub

VIDEO_BYTES_MAX = 300 * 1024 * 1024
DOWNLOAD_S = 180.0
REDIRECTS_MAX = 3
_HEAD_BYTES = 12
_RAW_BYTES_MAX = 4096
_REDIRECTS = (301, 302, 303, 307, 308)


def broken(words: str, *, passing: bool = False, raw: str = "") -> BrokenResultError:
    """Make a BrokenResultError in our words; `raw` is what came instead."""
    return BrokenResultError(KieFailure("result_broken", "", scrub(words), raw=scrub(raw)), passing=passing)


class ResultFetcher:
    """Downloads results into the blob store, through a `public_client`. With `only` (host names, not empty),
    what is not `trusted` must be one of them or below one."""

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
        """Store the video at `url` under `key`, whole or not at all. Raises BrokenResultError.

        Where a run before or beside this one has stored other bytes of the same task, those stay the video.
        """
        try:
            async with trouble_named(DOWNLOAD_S), aclosing(self._video(url)) as video:
                return await self._blobs.put(key, video, size_bytes_max=VIDEO_BYTES_MAX)
        except BlobConflictError:
            if (stored := await self._blobs.stored(key)) is None:
                raise
            return stored
        except BlobTooLargeError:
            raise _too_large() from None
        except KieNoAnswerError as error:
            raise broken(error.failure.message or error.failure.code, passing=True) from error

    async def close(self) -> None:
        await self._client.aclose()

    async def _video(self, url: str) -> AsyncGenerator[bytes, None]:
        response = await self._open(url)
        try:
            _require_fitting(response)
            head, checked = b"", False
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
        finally:
            await response.aclose()

    async def _open(self, url: str) -> httpx.Response:
        for _ in range(REDIRECTS_MAX + 1):
            await self.require_allowed(url)
            try:
                request = self._client.build_request("GET", url, headers={"Accept-Encoding": "identity"})
            except httpx.InvalidURL:
                raise broken("its address is not one") from None
            response = await self._client.send(request, stream=True)
            if response.status_code == 200:
                return response
            if response.status_code not in _REDIRECTS:
                # Fresh results may take a moment to reach the provider's file servers.
                words, raw = f"the file's address answers {response.status_code}", await _beginning(response)
                raise broken(words, passing=True, raw=raw)
            await response.aclose()
            url = urljoin(url, response.headers.get("location", ""))
        raise broken("too many redirects")

    async def require_allowed(self, url: str) -> None:
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
    """The beginning of an error page; closes the response."""
    try:
        async for chunk in response.aiter_bytes():
            return chunk[:_RAW_BYTES_MAX].decode("utf-8", "replace")
        return ""
    except httpx.HTTPError:
        return ""
    finally:
        await response.aclose()


def _too_large() -> BrokenResultError:
    return broken(f"the file is larger than {VIDEO_BYTES_MAX} bytes")


def _require_fitting(response: httpx.Response) -> None:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise broken("the file comes packed")
    length = response.headers.get("content-length", "")
    if length.isdigit() and int(length) > VIDEO_BYTES_MAX:
        raise _too_large()


def _require_video(head: bytes) -> None:
    """Check the signature: MP4 and its kin have a size and `ftyp`, WebM the EBML mark."""
    if head[4:8] != b"ftyp" and not head.startswith(b"\x1a\x45\xdf\xa3"):
        raise broken("the file is not a video", raw=head[:_RAW_BYTES_MAX].decode("utf-8", "replace"))
