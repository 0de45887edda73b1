"""Methods by which the bot gets its updates, and answers taps."""

from __future__ import annotations

from typing import Any

from services.sandbox.telegram.registry import Described, method
from services.sandbox.telegram.service import Telegram
from services.sandbox.telegram.wire import Call

LIMIT_MAX = 100
TIMEOUT_MAX_S = 50


@method("getUpdates")
async def get_updates(telegram: Telegram, call: Call) -> list[dict[str, Any]]:
    telegram.updates.allow(call.structure("allowed_updates", "can't parse allowed updates"))
    return await telegram.updates.poll(
        offset=call.integer("offset"),
        limit=call.integer("limit", LIMIT_MAX, low=1, high=LIMIT_MAX),
        timeout_s=call.integer("timeout", low=0, high=TIMEOUT_MAX_S),
        webhook_url=telegram.webhooks.current()["url"],
    )


@method("setWebhook")
async def set_webhook(telegram: Telegram, call: Call) -> Described:
    return Described(True, telegram.webhooks.set(call))


@method("deleteWebhook")
async def delete_webhook(telegram: Telegram, call: Call) -> Described:
    dropping = {key: value for key, value in call.values.items() if key == "drop_pending_updates"}
    return Described(True, telegram.webhooks.set(Call(call.method, dropping)))


@method("getWebhookInfo")
async def get_webhook_info(telegram: Telegram, call: Call) -> dict[str, Any]:
    return telegram.webhooks.info()


@method("answerCallbackQuery")
async def answer_callback_query(telegram: Telegram, call: Call) -> bool:
    return telegram.callbacks.answer(call)
