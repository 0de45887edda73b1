"""Bot API methods about the bot: updates, webhook, commands, texts, invoices, Stars."""

from __future__ import annotations

from typing import Any

from services.sandbox.telegram.buttons import read_markup
from services.sandbox.telegram.calls import Call, bad_request
from services.sandbox.telegram.content import deliver, read_options
from services.sandbox.telegram.payments import read_invoice
from services.sandbox.telegram.service import Described, Telegram, method
from services.sandbox.telegram.world import Message

_KIND = "telegram_bot"
UPDATES_MAX = 100
TIMEOUT_MAX_S = 50
_COMMANDS_MAX = 100
_TRANSACTIONS_MAX = 100
_INVOICE = ("title", "description", "start_parameter", "currency", "total_amount")
# What the texts are called, and how long each may be.
_TEXTS = {"description": 512, "short_description": 120}


@method("getMe")
async def get_me(telegram: Telegram, call: Call) -> dict[str, Any]:
    return telegram.world.bot_user()


@method("setMyCommands")
async def set_my_commands(telegram: Telegram, call: Call) -> bool:
    commands = call.structure("commands", "can't parse commands JSON object")
    if not isinstance(commands, list) or not all(_is_command(command) for command in commands):
        raise bad_request("BOT_COMMAND_INVALID")
    if len(commands) > _COMMANDS_MAX:
        raise bad_request("BOT_COMMANDS_TOO_MUCH")
    telegram.store.put(_KIND, _commands_key(call), {"commands": commands})
    return True


@method("getMyCommands")
async def get_my_commands(telegram: Telegram, call: Call) -> list[dict[str, str]]:
    return _listed(telegram, _commands_key(call))


@method("deleteMyCommands")
async def delete_my_commands(telegram: Telegram, call: Call) -> bool:
    telegram.store.delete(_KIND, _commands_key(call))
    return True


@method("setMyDescription", "setMyShortDescription")
async def set_my_text(telegram: Telegram, call: Call) -> bool:
    field = _field(call)
    value = call.text(field)
    if len(value) > _TEXTS[field]:
        raise bad_request(f"bot {field.replace('_', ' ')} is too long")
    telegram.store.put(_KIND, f"{field}:{call.text('language_code')}", {field: value})
    return True


@method("getMyDescription", "getMyShortDescription")
async def get_my_text(telegram: Telegram, call: Call) -> dict[str, str]:
    field = _field(call)
    return {field: text(telegram, field, call.text("language_code"))}


@method("getChat")
async def get_chat(telegram: Telegram, call: Call) -> dict[str, Any]:
    chat_id = telegram.known_chat(call)
    gifts = (
        "unlimited_gifts",
        "limited_gifts",
        "unique_gifts",
        "premium_subscription",
        "gifts_from_channels",
    )
    return telegram.world.chat(chat_id) | {
        "accent_color_id": chat_id % 7,
        "max_reaction_count": 11,
        "accepted_gift_types": {name: False for name in gifts},
    }


@method("getChatMember")
async def get_chat_member(telegram: Telegram, call: Call) -> dict[str, Any]:
    telegram.known_chat(call)
    user_id = call.integer("user_id")
    if user_id == telegram.world.bot_id:
        return {"user": telegram.world.bot_user(), "status": "member"}
    person = telegram.world.person(user_id)
    if person is None:
        raise bad_request("user not found")
    return {"user": person["user"], "status": "member"}


@method("getUpdates")
async def get_updates(telegram: Telegram, call: Call) -> list[dict[str, Any]]:
    telegram.updates.allow(call.structure("allowed_updates", "can't parse allowed updates"))
    return await telegram.updates.poll(
        offset=call.integer("offset"),
        limit=call.integer("limit", UPDATES_MAX, low=1, high=UPDATES_MAX),
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


@method("sendInvoice")
async def send_invoice(telegram: Telegram, call: Call) -> Message:
    chat_id = telegram.target(call)
    invoice = read_invoice(call)
    markup = read_markup(call)
    options = read_options(telegram, call, chat_id)
    with telegram.store.batch():
        message = deliver(
            telegram, chat_id, options | {"invoice": {key: invoice[key] for key in _INVOICE}}, markup
        )
        telegram.payments.keep_message(message["message_id"], invoice)
    return message


@method("answerPreCheckoutQuery")
async def answer_pre_checkout_query(telegram: Telegram, call: Call) -> bool:
    return telegram.payments.answer(call)


@method("refundStarPayment")
async def refund_star_payment(telegram: Telegram, call: Call) -> bool:
    return telegram.payments.refund(call)


@method("getStarTransactions")
async def get_star_transactions(telegram: Telegram, call: Call) -> dict[str, Any]:
    offset = call.integer("offset", low=0)
    limit = call.integer("limit", _TRANSACTIONS_MAX, low=1, high=_TRANSACTIONS_MAX)
    return {"transactions": telegram.payments.transactions(offset, limit)}


def commands(telegram: Telegram, language: str, chat_id: int) -> list[dict[str, str]]:
    """What a person's menu lists: their chat's own commands before everybody's."""
    scopes = (f"chat{chat_id}", "all_private_chats", "default")
    keys = (f"commands:{scope}:{code}" for scope in scopes for code in (language, ""))
    return next(filter(None, (_listed(telegram, key) for key in keys)), [])


def _listed(telegram: Telegram, key: str) -> list[dict[str, str]]:
    listed: list[dict[str, str]] = (telegram.store.get(_KIND, key) or {"commands": []})["commands"]
    return listed


def text(telegram: Telegram, field: str, language: str) -> str:
    for key in (f"{field}:{language}", f"{field}:"):
        if (found := telegram.store.get(_KIND, key)) is not None:
            return str(found[field])
    return ""


def _commands_key(call: Call) -> str:
    scope = call.structure("scope", "can't parse BotCommandScope") or {"type": "default"}
    if not isinstance(scope, dict) or not isinstance(scope.get("type"), str):
        raise bad_request("can't parse BotCommandScope")
    return f"commands:{scope['type']}{scope.get('chat_id', '')}:{call.text('language_code')}"


def _is_command(raw: Any) -> bool:
    if not isinstance(raw, dict) or not isinstance(raw.get("command"), str) or not raw.get("description"):
        return False
    name = raw["command"].lstrip("/")
    return (
        1 <= len(name) <= 32 and name.isascii() and name.replace("_", "").isalnum() and name == name.lower()
    )


def _field(call: Call) -> str:
    name = call.method.lower()[len("setmy") :]
    return "short_description" if name == "shortdescription" else name
