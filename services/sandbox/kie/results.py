"""The finished videos, as files: whole, in ranges, or broken as a task's fault says."""

from __future__ import annotations

from aiohttp import web

from services.sandbox.context import Context
from services.sandbox.kie.tasks import Task, load
from services.sandbox.knobs import knobs
from services.sandbox.sendfile import send_bytes

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
