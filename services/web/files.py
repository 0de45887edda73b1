"""GET /files/{token}: download of a stored video by link, with ranges."""

import asyncio
import re
import time
from collections import Counter
from hashlib import sha256
from typing import Final

import structlog
from aiohttp import web

from services.platform.blobs import BlobError, BlobStore, BlobStoreAwayError
from services.platform.file_links import PREFIX, FileLinks, LinkError

logger = structlog.get_logger()

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_MAX_AGE_S: Final = 3600
_LATER: Final = {"Retry-After": "5"}
STALL_S_MAX: Final = 60.0
"""Whoever takes nothing for so long is not waited for."""
DOWNLOADS_MAX: Final = 128
DOWNLOADS_OF_ONE_MAX: Final = 8
"""At the same time, in all and of one video: slow readers leave connections for the companies' callbacks."""


class Files:
    def __init__(self, links: FileLinks, blobs: BlobStore) -> None:
        self._links = links
        self._blobs = blobs
        self._running: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PREFIX + r"/{token:[A-Za-z0-9_-]{1,500}}", self.download)]  # HEAD comes with it

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Serve the whole file or a part (206); 404 for an invalid link."""
        try:
            blob = self._links.blob(request.match_info["token"], time.time())
            size_bytes = await self._blobs.size_bytes(blob)
        except (LinkError, BlobError):
            raise web.HTTPNotFound from None
        except BlobStoreAwayError as error:
            logger.warning("files_away", reason=str(error))
            raise web.HTTPServiceUnavailable(headers=_LATER) from None
        if size_bytes is None:
            raise web.HTTPNotFound
        etag = f'"{sha256(f"{blob}:{size_bytes}".encode()).hexdigest()[:32]}"'
        headers = {
            "Accept-Ranges": "bytes",
            "Cache-Control": f"private, max-age={_MAX_AGE_S}",
            "Content-Security-Policy": "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'",
            "Content-Disposition": 'inline; filename="video.mp4"',
            "ETag": etag,
        }
        part = _part(request, size_bytes, etag)
        if part is None:
            return await self._send(request, blob, 0, size_bytes, 200, headers)
        start, end = part
        if start >= size_bytes:
            raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size_bytes}"})
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size_bytes}"
        return await self._send(request, blob, start, end - start, 206, headers)

    async def _send(
        self, request: web.Request, blob: str, start: int, length: int, status: int, headers: dict[str, str]
    ) -> web.StreamResponse:
        if self._running.total() >= DOWNLOADS_MAX or self._running[blob] >= DOWNLOADS_OF_ONE_MAX:
            raise web.HTTPServiceUnavailable(headers=_LATER)
        self._running[blob] += 1
        try:
            return await self._stream(request, blob, start, length, status, headers)
        finally:
            self._running -= Counter([blob])

    async def _stream(
        self, request: web.Request, blob: str, start: int, length: int, status: int, headers: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers=headers)
        response.content_type = "video/mp4"
        response.content_length = length
        await response.prepare(request)
        if request.method != "HEAD":
            try:
                async for chunk in self._blobs.stream(blob, start=start, length=length):
                    async with asyncio.timeout(STALL_S_MAX):
                        await response.write(chunk)
            except (TimeoutError, BlobError, BlobStoreAwayError):
                if request.transport is not None:
                    request.transport.abort()  # closing would wait for what is not taken
                return response
        await response.write_eof()
        return response


def _part(request: web.Request, size_bytes: int, etag: str) -> tuple[int, int] | None:
    """Start and end (exclusive) of the part asked for; None for the whole. The odd is ignored."""
    wanted = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    if wanted is None or request.headers.get("If-Range", etag) != etag:
        return None
    first, last = wanted.groups()
    if not first and not last:
        return None
    if not first:  # the last so many bytes
        return (max(0, size_bytes - int(last)) if int(last) else size_bytes, size_bytes)
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, size_bytes) if last else size_bytes
