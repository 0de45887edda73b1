"""Broken answers that any of the companies, or the network between, may give."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import Any

from aiohttp import web

HANG_DEFAULT_S = 60.0

_BAD_GATEWAY = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    "<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
)


def html_502() -> web.Response:
    """What a proxy says when the server behind it is gone."""
    return web.Response(status=502, text=_BAD_GATEWAY, content_type="text/html")


def truncated_json(answer: Any) -> web.Response:
    """The first two thirds of a JSON answer, as if the server had died while writing."""
    text = json.dumps(answer, ensure_ascii=False)
    return web.Response(text=text[: max(1, len(text) * 2 // 3)], content_type="application/json")


def empty_body() -> web.Response:
    return web.Response(body=b"", content_type="application/json")


def drop(request: web.Request) -> web.Response:
    """Close the connection without an answer. What is returned goes nowhere."""
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=500)


def reset(request: web.Request) -> web.Response:
    """Cut the connection with a TCP reset."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=500)


async def hang(request: web.Request, seconds: float = HANG_DEFAULT_S) -> web.Response:
    """Say nothing for `seconds`, then close; give up earlier when the client does."""
    # Real time, not the sandbox's clock: it is the client's patience that is being tried.
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline and request.transport is not None:
        await asyncio.sleep(0.05)  # a transport that closes tells nobody
    return drop(request)
