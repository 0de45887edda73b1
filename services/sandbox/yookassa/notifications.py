"""Notifications: retried until answered 200 or 24 hours old; and forgeries."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import structlog

from services.sandbox.app import Context
from services.sandbox.faults import Fault
from services.sandbox.knobs import Knobs, knobs

log = structlog.get_logger()

DELIVERY_KIND = "yookassa_delivery"

_REDELIVERED_FOR_S = 86_400.0
_REORDERED_DEFAULT_S = 5.0
_ANSWER_S = 10.0
OWN_IP = "185.71.76.5"
# One of the documentation's own (TEST-NET-3): nobody's.
FOREIGN_IP = "203.0.113.7"
_ANSWERS_KEPT = 20


class Delivery(msgspec.Struct, kw_only=True):
    """One notification. `body` is the object as it was at the event. Times are epoch seconds."""

    id: str
    url: str
    body: dict[str, Any]
    event_at: float
    next_at: float
    state: str = "pending"  # pending, delivered, given_up
    answers: list[str] = []
    tries: int = 0
    forged: bool = False


def plan(ctx: Context, event: str, shown: dict[str, Any], **words: str) -> list[Delivery]:
    """Note what is to be sent about an event; `words` is what fault rules can match."""
    settings = knobs(ctx)
    if not settings.yookassa_notification_url or event not in settings.yookassa_events:
        return []
    fault = ctx.faults.take("yookassa", "notify", event=event, **words)
    name = fault.name if fault is not None else ""
    if name == "notify_never":
        return []
    planned = [_new(ctx, settings, event, shown)]
    if name == "notify_twice":
        planned.append(_new(ctx, settings, event, shown))
    if fault is not None and name == "notify_reordered":
        planned[0].next_at += float(fault.args.get("seconds", _REORDERED_DEFAULT_S))
    if fault is not None and name == "notify_forged":
        planned.insert(0, _forged(ctx, settings, event, shown, fault))
    for delivery in planned:
        _save(ctx, delivery)
    return planned


def start(ctx: Context, planned: list[Delivery]) -> None:
    """Send each on its own: none waits for another."""
    for delivery in planned:
        ctx.spawn(_deliver(ctx, delivery), name=f"yookassa-notification-{delivery.id}")


async def resume(ctx: Context) -> None:
    docs = [doc for _, doc in ctx.store.all(DELIVERY_KIND) if doc["state"] == "pending"]
    start(ctx, [msgspec.convert(doc, Delivery) for doc in docs])


def forge_unpaid(ctx: Context, shown: dict[str, Any], fault: Fault) -> None:
    """Claim success of a new payment: a forgery by a payer who knows its id."""
    settings = knobs(ctx)
    if settings.yookassa_notification_url:
        delivery = _forged(ctx, settings, "payment.succeeded", shown, fault)
        _save(ctx, delivery)
        start(ctx, [delivery])


def log_of(ctx: Context) -> list[dict[str, Any]]:
    names = ("id", "state", "answers", "tries", "forged")
    return [
        {"event": doc["body"]["event"], "object": doc["body"]["object"].get("id")}
        | {n: doc[n] for n in names}
        for _, doc in ctx.store.all(DELIVERY_KIND)
    ]


def _new(ctx: Context, settings: Knobs, event: str, shown: dict[str, Any]) -> Delivery:
    now = ctx.clock.now()
    return Delivery(
        id=str(ctx.store.next_id(DELIVERY_KIND)),
        url=settings.yookassa_notification_url,
        body={"type": "notification", "event": event, "object": copy.deepcopy(shown)},
        event_at=now,
        next_at=now,
    )


def _forged(ctx: Context, settings: Knobs, event: str, shown: dict[str, Any], fault: Fault) -> Delivery:
    delivery = _new(ctx, settings, event, shown)
    delivery.forged = True
    delivery.body["object"] |= {
        "status": "succeeded",
        "paid": True,
        "amount": {"value": "99999.00", "currency": "RUB"},
        **dict(fault.args.get("object", {})),
    }
    return delivery


async def _deliver(ctx: Context, delivery: Delivery) -> None:
    while delivery.state == "pending":
        await ctx.sleep_until(delivery.next_at)
        settings = knobs(ctx)
        headers = {"X-Forwarded-For": FOREIGN_IP if delivery.forged else OWN_IP}
        answer = await ctx.post(delivery.url, delivery.body, headers, _ANSWER_S)
        _note(ctx, delivery, answer, settings)


def _note(ctx: Context, delivery: Delivery, answer: str, settings: Knobs) -> None:
    pauses = settings.yookassa_redelivery_seconds or [_REDELIVERED_FOR_S]
    delivery.answers = [*delivery.answers, answer][-_ANSWERS_KEPT:]
    delivery.tries += 1
    delivery.next_at = ctx.clock.now() + pauses[min(delivery.tries, len(pauses)) - 1]
    if answer == "200" or delivery.forged:
        delivery.state = "delivered"
    elif delivery.next_at > delivery.event_at + _REDELIVERED_FOR_S:
        delivery.state = "given_up"
        log.warning("yookassa_notification_given_up", event_name=delivery.body["event"], tries=delivery.tries)
    _save(ctx, delivery)


def _save(ctx: Context, delivery: Delivery) -> None:
    ctx.store.put(DELIVERY_KIND, delivery.id, msgspec.to_builtins(delivery))
