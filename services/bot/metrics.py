"""Metrics of the bot; dropped updates are counted and logged."""

import time
from contextvars import ContextVar
from typing import Any, Final, Literal

import structlog
from aiogram import Bot
from aiogram.client.session.middlewares.base import BaseRequestMiddleware, NextRequestMiddlewareType
from aiogram.methods import TelegramMethod
from aiogram.methods.base import TelegramType
from prometheus_client import Counter, Gauge, Histogram

IN_HAND: Final = Gauge(
    "neurocards_updates_in_hand", "Updates this process has taken and not yet settled", ["lane"]
)
DROPPED: Final = Counter(
    "neurocards_updates_dropped_total", "Updates that lead to nothing, by what and why", ["kind", "reason"]
)
FETCHED: Final = Gauge(
    "neurocards_updates_fetched_timestamp_seconds",
    "When Telegram last answered getUpdates, or told that its webhook works; at first: when we got the turn",
)
PENDING: Final = Gauge(
    "neurocards_updates_pending", "Updates that Telegram has not brought to the webhook yet, as it last said"
)
ANSWER_SECONDS: Final = Histogram(
    "neurocards_update_answer_seconds",
    "From an update's storing to the first call that answers it, before the limiter's waiting",
    ["behind"],
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 15, 60),
)

logger = structlog.get_logger()

Reason = Literal["not_private", "no_person", "erased", "service", "unhandled", "malformed"]


def drop(kind: str, reason: Reason) -> None:
    """Count and log a dropped update. `kind` is the Bot API's word for it, or `unknown`."""
    DROPPED.labels(kind, reason).inc()
    logger.info("update_dropped", kind=kind, reason=reason)


_unanswered: ContextVar[tuple[float, str] | None] = ContextVar("unanswered", default=None)


def handling(age_s: float, *, behind_own: bool) -> None:
    """Begin to measure: this task handles an update stored `age_s` ago, maybe behind another of its chat."""
    _unanswered.set((time.monotonic() - age_s, "own" if behind_own else "nobody"))


class AnswerTimes(BaseRequestMiddleware):
    """Measures how long updates wait for the first call. Register before what waits for a slot."""

    async def __call__(
        self, make_request: NextRequestMiddlewareType[TelegramType], bot: Bot, method: TelegramMethod[Any]
    ) -> Any:
        if waits := _unanswered.get():
            ANSWER_SECONDS.labels(waits[1]).observe(time.monotonic() - waits[0])
            _unanswered.set(None)
        return await make_request(bot, method)
