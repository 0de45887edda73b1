"""Download of result videos: SSRF guard, size limit, resumption, content check.

The address is the provider's word and may not lead into our network: `trusted` origins (the provider's own,
perhaps the sandbox on this machine) pass; all others must resolve to public addresses, at each redirect anew,
and are connected to at a checked address (public_addresses.py).
"""

import asyncio
import random
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection
from contextlib import aclosing
from hashlib import sha256
from typing import Final
from urllib.parse import urljoin

import httpx

from events.job import Failure
from services.adapters.kie.envelope import trouble_named
from services.adapters.kie.errors import BrokenResultError, KieNoAnswerError
from services.adapters.kie.metrics import measured
from services.adapters.kie.public_addresses import Origin, origin_of, require_public
from services.platform.blobs import BlobStore, BlobTooLargeError, StoredBlob
from services.platform.scrub import scrub

# One file over one connection or several: a transfer that breaks goes on from where it stopped.
#
# Where the server can send a part (Range), the rest is asked for, of the same version of the file. Where it
# cannot, the file is read from the start again, and what was passed on already must be the same bytes.


BREAKS_MAX: Final = 5
_PAUSE_S: Final = 0.5
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")


class _ChangedError(Exception):
    """Other bytes than before: what was passed on cannot be continued."""


Open = Callable[[dict[str, str]], Awaitable[httpx.Response]]
"""Sends the request with these headers; the response is a 200, or a 206 when a part was asked for."""


class Transfer:
    """One resumable transfer: `got` bytes passed on, of `total` where the server told."""

    def __init__(self, open_: Open, bytes_max: int) -> None:
        self._open = open_
        self._bytes_max = bytes_max
        self._seen = sha256()
        self._version = ""
        self.got = 0
        self.total: int | None = None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Stream the bytes. Raises BrokenResultError, or httpx.TransportError after several breaks."""
        breaks = 0
        while True:
            try:
                async with aclosing(self._once()) as rest:
                    async for chunk in rest:
                        self._seen.update(chunk)
                        self.got += len(chunk)
                        yield chunk
            except _ChangedError:
                raise broken("the file has changed while it was fetched", passing=True) from None
            except (httpx.TransportError, BrokenResultError) as error:
                breaks += 1
                passing = not isinstance(error, BrokenResultError) or error.passing
                if not (passing and self.got) or breaks > BREAKS_MAX:
                    raise
                await asyncio.sleep(_PAUSE_S * breaks * random.random())
            else:
                return

    async def _once(self) -> AsyncGenerator[bytes, None]:
        headers = {"Accept-Encoding": "identity"}  # a part of something packed is of no use
        if self.got:
            headers["Range"] = f"bytes={self.got}-"
            if self._version:
                headers["If-Range"] = self._version
        response = await self._open(headers)
        try:
            skip = self._start(response)
            chunks = response.aiter_bytes()
            async for chunk in self._after(chunks, skip) if skip else chunks:
                yield chunk
        finally:
            await response.aclose()

    def _start(self, response: httpx.Response) -> int:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise broken("the file comes packed")
        if response.status_code == 206:
            total = _rest_from(self.got, response.headers.get("content-range", ""))
            skip = 0
        else:
            length = response.headers.get("content-length", "")
            total, skip = int(length) if length.isdigit() else None, self.got
        if self.got and None not in (total, self.total) and total != self.total:
            raise _ChangedError
        if total is not None and total > self._bytes_max:
            raise broken(f"the file is larger than {self._bytes_max} bytes")
        self.total = total if total is not None else self.total
        etag = response.headers.get("etag", "")
        self._version = (
            etag if etag and not etag.startswith("W/") else response.headers.get("last-modified", "")
        )
        return skip

    async def _after(self, chunks: AsyncIterator[bytes], skip: int) -> AsyncIterator[bytes]:
        known = sha256()
        async for chunk in chunks:
            known.update(chunk[:skip])
            rest, before = chunk[skip:], skip
            skip = max(0, skip - len(chunk))
            if before and not skip and known.digest() != self._seen.digest():
                raise _ChangedError
            if rest:
                yield rest
        if skip:
            raise _ChangedError


def broken(words: str, *, passing: bool = False, raw: str = "") -> BrokenResultError:
    """Make a BrokenResultError in our words; `raw` is what came instead."""
    return BrokenResultError(Failure("result_broken", "", scrub(words), raw=scrub(raw)), passing=passing)


def _rest_from(start: int, content_range: str) -> int | None:
    found = _CONTENT_RANGE.fullmatch(content_range)
    if found is None or int(found[1]) != start:
        raise broken("the server sends another part than it was asked for", passing=True)
    return None if found[2] == "*" else int(found[2])


VIDEO_BYTES_MAX = 300 * 1024 * 1024
DOWNLOAD_S = 180.0
REDIRECTS_MAX = 3
_HEAD_BYTES = 12
_RAW_BYTES_MAX = 4096
_REDIRECTS = (301, 302, 303, 307, 308)


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
        """Store the video at `url` under `key`, whole or not at all. Raises BrokenResultError."""
        try:
            async with trouble_named(DOWNLOAD_S), aclosing(self._video(url)) as video:
                return await self._blobs.put(key, video, size_bytes_max=VIDEO_BYTES_MAX)
        except BlobTooLargeError:
            raise broken(f"the file is larger than {VIDEO_BYTES_MAX} bytes") from None
        except KieNoAnswerError as error:
            raise broken(error.failure.message or error.failure.code, passing=True) from error

    async def close(self) -> None:
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


def _require_video(head: bytes) -> None:
    """Check the signature: MP4 and its kin have a size and `ftyp`, WebM the EBML mark."""
    if head[4:8] != b"ftyp" and not head.startswith(b"\x1a\x45\xdf\xa3"):
        raise broken("the file is not a video", raw=head[:_RAW_BYTES_MAX].decode("utf-8", "replace"))
