"""Send a file's bytes, whole or the part a player asks for."""

from __future__ import annotations

from aiohttp import web


def send_bytes(request: web.Request, data: bytes, mime: str) -> web.Response:
    """200 with everything, 206 with the asked range, or 416 when the range lies outside."""
    headers = {"Accept-Ranges": "bytes", "Content-Type": mime}
    try:
        wanted = request.http_range
    except ValueError:
        wanted = slice(None)
    if wanted.start is None and wanted.stop is None:
        return web.Response(body=data, headers=headers)
    start, stop, _ = wanted.indices(len(data))
    if start >= stop:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
    return web.Response(status=206, body=data[start:stop], headers=headers)
