"""The finished videos, as files: whole, in ranges, or broken as a task's fault says."""

from __future__ import annotations

import hashlib

from aiohttp import web

from services.sandbox.context import Context
from services.sandbox.kie import uploads
from services.sandbox.kie.fetch import download, is_image
from services.sandbox.kie.tasks import Task, load
from services.sandbox.kie.wire import IMAGE_NOT_FETCHED, KieError
from services.sandbox.knobs import knobs
from services.sandbox.sendfile import send_bytes

# Takes in pictures: from our own uploads without a detour, from elsewhere over HTTP, checked either way.


IMAGE_SIZE_MAX_BYTES = 10 * 1024 * 1024
LEAK_KIND = "kie_leak"

_FETCH_TIMEOUT_S = 15.0


async def take_in(ctx: Context, request: web.Request, urls: list[str]) -> str:
    """Check every picture and return the first one's file name in the store ("" without any).

    Raises KieError for what the provider would refuse, and for URLs that would give a bot's token away.
    """
    names: list[str] = []
    for url in urls:
        if "/file/bot" in url:
            ctx.store.put(LEAK_KIND, str(ctx.store.next_id(LEAK_KIND)), {"url": _masked(url)})
            raise KieError(422, "image URL refused: it holds a Telegram bot token (/file/bot...)")
        own = uploads.find(ctx, url, request.host)
        names.append(await _fetched(ctx, url) if own is None else _checked_own(own))
    return names[0] if names else ""


def _checked_own(upload: uploads.Upload) -> str:
    if upload.size > IMAGE_SIZE_MAX_BYTES:
        raise KieError(422, "The image size exceeds the maximum limit of 10MB")
    if not upload.image:
        raise KieError(422, "The image type is not supported, use jpeg, png or webp")
    return upload.file


async def _fetched(ctx: Context, url: str) -> str:
    data = await download(ctx, url, IMAGE_SIZE_MAX_BYTES, _FETCH_TIMEOUT_S)
    if data is None:
        raise KieError(451, IMAGE_NOT_FETCHED)
    if len(data) > IMAGE_SIZE_MAX_BYTES:
        raise KieError(422, "The image size exceeds the maximum limit of 10MB")
    if not is_image(data):
        raise KieError(422, "The image type is not supported, use jpeg, png or webp")
    name = f"kie/uploads/{hashlib.sha256(data).hexdigest()}"
    ctx.store.write_file(name, data)
    return name


def _masked(url: str) -> str:
    return url.split("/file/bot", 1)[0] + "/file/bot..."


_MIME = "video/mp4"
_HUGE_DEFAULT_MB = 60
_CHUNK = bytes(256 * 1024)
_NO_SUCH_KEY = "<Error><Code>NoSuchKey</Code></Error>"
_NOT_A_VIDEO = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body></body></html>"


def routes(ctx: Context) -> list[web.RouteDef]:
    async def video(request: web.Request) -> web.StreamResponse:
        task = load(ctx, request.match_info["task_id"])
        if task is None or not task.video or _is_gone(ctx, task):
            raise web.HTTPNotFound(text=_NO_SUCH_KEY, content_type="application/xml")
        if task.fault == "result_not_video":
            body = str(task.fault_args.get("body", "")).encode() or _NOT_A_VIDEO
            mime = str(task.fault_args.get("content_type", _MIME))
            return web.Response(body=body, headers={"Content-Type": mime})
        path = ctx.store.file_path(task.video)
        if task.fault == "result_huge":
            return await _send_huge(request, ctx.store.read_file(task.video) or b"", task)
        if path is not None:
            return web.FileResponse(path, headers={"Content-Type": _MIME})
        return send_bytes(request, ctx.store.read_file(task.video) or b"", _MIME)

    return [web.get("/v/{task_id}.mp4", video)]


def _is_gone(ctx: Context, task: Task) -> bool:
    gone_at = task.completed_ms / 1000 + knobs(ctx).result_ttl_seconds
    return task.fault == "result_404" or gone_at < ctx.clock.now()


async def _send_huge(request: web.Request, video: bytes, task: Task) -> web.StreamResponse:
    """The video and, in an mp4 box that players skip, as many megabytes of nothing as wanted."""
    padding = int(float(task.fault_args.get("megabytes", _HUGE_DEFAULT_MB)) * 1024 * 1024)
    size = 8 + padding
    response = web.StreamResponse(headers={"Content-Type": _MIME})
    response.content_length = len(video) + size
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    await response.write(video + size.to_bytes(4, "big") + b"free")
    while padding > 0:
        part = _CHUNK[: min(padding, len(_CHUNK))]
        await response.write(part)
        padding -= len(part)
    await response.write_eof()
    return response
