"""Sandbox of KIE.AI: tasks, files, callbacks, balance, and faults."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
from aiohttp import web

from services.sandbox.app import Context
from services.sandbox.kie import routes as calls
from services.sandbox.kie import uploads
from services.sandbox.kie.callbacks import deliveries
from services.sandbox.kie.studio import Studio
from services.sandbox.kie.tasks import TASK_KIND, Task
from services.sandbox.kie.uploads import LEAK_KIND
from services.sandbox.knobs import knobs

__all__ = ["book", "routes"]


def routes(ctx: Context) -> list[web.RouteDef]:
    """The API and the upload host, on paths that do not overlap; without the prefix."""
    studio = ctx.part(Studio, Studio)
    ctx.on_start(studio.resume)

    async def unknown(request: web.Request) -> web.Response:
        # Not the provider's envelope: its framework answers wrong paths itself.
        now = datetime.datetime.fromtimestamp(ctx.clock.now(), datetime.UTC)
        path = request.path.removeprefix("/kie")
        body = {"timestamp": now.isoformat(), "status": 404, "error": "Not Found", "path": path}
        return web.json_response(body, status=404)

    return [*calls.routes(ctx), *uploads.routes(ctx), web.route("*", "/{unknown:.*}", unknown)]


def book(ctx: Context) -> dict[str, Any]:
    """Every task accepted, oldest first, with its callbacks: proves that nothing was asked twice."""
    callbacks = deliveries(ctx)
    tasks = [_shown(msgspec.convert(doc, Task), callbacks) for _, doc in ctx.store.all(TASK_KIND)]
    return {
        "tasks": tasks,
        "balance": knobs(ctx).balance,
        "token_leaks": [doc["url"] for _, doc in ctx.store.all(LEAK_KIND)],
    }


def _shown(task: Task, callbacks: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {
        "taskId": task.id,
        "model": task.model,
        "key": task.key,
        "callBackUrl": task.callback,
        "state": task.state,
        "createTime": task.created_ms,
        "creditsConsumed": task.cost if task.state == "success" else 0,
        "fault": task.fault or None,
        "callbackFault": task.callback_fault or None,
        "callbacks": callbacks.get(task.id, []),
    }
