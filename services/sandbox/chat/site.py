"""The chat page and its files: plain HTML, CSS and JavaScript, nothing from any other host."""

from __future__ import annotations

from importlib import resources

from aiohttp import web

from services.sandbox.app import Context

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:",
}


def page_routes(ctx: Context) -> list[web.RouteDef]:
    """`/` and `/assets/<file>`; the files are read once."""
    folder = resources.files("services.sandbox.chat") / "page"
    assets = {item.name: item.read_bytes() for item in folder.iterdir() if item.is_file()}

    async def page(request: web.Request) -> web.Response:
        return _response("index.html", assets["index.html"])

    async def asset(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in assets:
            raise web.HTTPNotFound
        return _response(name, assets[name])

    return [web.get("/", page), web.get("/assets/{name}", asset)]


def _response(name: str, body: bytes) -> web.Response:
    suffix = name[name.rfind(".") :]
    kind = _TYPES.get(suffix, "application/octet-stream")
    charset = "utf-8" if kind != "application/octet-stream" else None
    return web.Response(body=body, content_type=kind, charset=charset, headers=_HEADERS)
