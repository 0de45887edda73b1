"""Posts to callBackUrl: 200 within 15 s, else three more tries; survives restarts."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from typing import Any

import msgspec
import structlog

from services.sandbox.app import Context
from services.sandbox.kie.tasks import Task, callback_body, load
from services.sandbox.knobs import Knobs, knobs

log = structlog.get_logger()

CALLBACK_KIND = "kie_callback"
_ANSWER_S = 15.0


class Delivery(msgspec.Struct, kw_only=True):
    """One callback; `answers` are HTTP statuses, or the error when there was none."""

    task: str
    number: int
    state: str = "pending"  # pending, delivered, given_up
    next_at: float
    answers: list[str] = []
    forged: bool = False


class _Runs(dict[str, asyncio.Task[None]]):
    """Deliveries that have a running loop, so that none gets two."""


def plan(ctx: Context, task: Task) -> None:
    """Note the callbacks owed for a finished task: one, two or none, by its fault."""
    times = {"callback_never": 0, "callback_twice": 2}.get(task.callback_fault, 1)
    for number in range(1, times + 1):
        _save(ctx, Delivery(task=task.id, number=number, next_at=ctx.clock.now()))


def resume(ctx: Context, task_id: str) -> None:
    for number in (1, 2):
        key = _key(task_id, number)
        doc = ctx.store.get(CALLBACK_KIND, key)
        if doc is not None and doc["state"] == "pending" and key not in _runs(ctx):
            delivery = msgspec.convert(doc, Delivery)
            _runs(ctx)[key] = ctx.spawn(_deliver(ctx, delivery, key), name=f"kie-callback-{key}")


def underway(ctx: Context, task_id: str) -> list[asyncio.Task[None]]:
    return [run for key, run in _runs(ctx).items() if key.startswith(f"{task_id}:")]


def send_forged(ctx: Context, task: Task) -> None:
    """Post a success that never was, with a foreign URL. The real callback comes later."""
    body = {
        "code": 200,
        "msg": "Playground task completed successfully.",
        "data": {
            "taskId": task.id,
            "model": task.model,
            "state": "success",
            "param": json.dumps(task.body, ensure_ascii=False),
            "resultJson": '{"resultUrls":["http://127.0.0.1:9/forged.mp4"]}',
            "failCode": None,
            "failMsg": None,
            "costTime": 1,
            "creditsConsumed": 0,
            "createTime": task.created_ms,
            "completeTime": task.created_ms + 1,
            "updateTime": task.created_ms + 1,
        },
    }
    delivery = Delivery(task=task.id, number=0, next_at=ctx.clock.now(), forged=True)

    async def once() -> None:
        delivery.answers.append(await _post(ctx, task, body, knobs(ctx)))
        delivery.state = "delivered"
        _save(ctx, delivery)

    ctx.spawn(once(), name=f"kie-callback-forged-{task.id}")


def deliveries(ctx: Context) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for _, doc in ctx.store.all(CALLBACK_KIND):
        shown = {name: doc[name] for name in ("number", "state", "answers", "forged")}
        found.setdefault(doc["task"], []).append(shown)
    return found


def _runs(ctx: Context) -> _Runs:
    return ctx.part(_Runs, lambda _: _Runs())


async def _deliver(ctx: Context, delivery: Delivery, key: str) -> None:
    task = load(ctx, delivery.task)
    try:
        while task is not None and delivery.state == "pending":
            await _attempt(ctx, task, delivery)
    finally:
        _runs(ctx).pop(key, None)


async def _attempt(ctx: Context, task: Task, delivery: Delivery) -> None:
    await ctx.sleep_until(delivery.next_at)
    settings = knobs(ctx)
    answer = await _post(ctx, task, callback_body(task), settings)
    delivery.answers.append(answer)
    tries = len(delivery.answers)
    if answer == "200":
        delivery.state = "delivered"
    elif tries > len(settings.callback_retry_seconds):
        delivery.state = "given_up"
        log.warning("kie_callback_given_up", task=task.id, answers=delivery.answers)
    else:
        delivery.next_at = ctx.clock.now() + settings.callback_retry_seconds[tries - 1]
    _save(ctx, delivery)


async def _post(ctx: Context, task: Task, body: dict[str, Any], settings: Knobs) -> str:
    headers = _signature(task, settings, ctx.clock.now()) if settings.callback_hmac_key else {}
    return await ctx.post(task.callback, body, headers, _ANSWER_S)


def _signature(task: Task, settings: Knobs, now: float) -> dict[str, str]:
    timestamp = str(int(now))
    key = settings.callback_hmac_key
    if task.callback_fault == "callback_bad_signature":
        key += "-not"
    digest = hmac.new(key.encode(), f"{task.id}.{timestamp}".encode(), hashlib.sha256).digest()
    return {"X-Webhook-Timestamp": timestamp, "X-Webhook-Signature": base64.b64encode(digest).decode()}


def _key(task_id: str, number: int) -> str:
    return f"{task_id}:{number}"


def _save(ctx: Context, delivery: Delivery) -> None:
    ctx.store.put(CALLBACK_KIND, _key(delivery.task, delivery.number), msgspec.to_builtins(delivery))
