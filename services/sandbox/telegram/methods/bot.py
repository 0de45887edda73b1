"""Methods about the bot itself and about the people it knows."""

from __future__ import annotations

from typing import Any

from services.sandbox.telegram.errors import bad_request
from services.sandbox.telegram.registry import method
from services.sandbox.telegram.service import Telegram
from services.sandbox.telegram.wire import Call

_KIND = "telegram_bot"
_COMMANDS_MAX = 100
_ABILITIES = {
    "can_join_groups": True,
    "can_read_all_group_messages": False,
    "supports_inline_queries": False,
    "supports_guest_queries": False,
    "can_connect_to_business": False,
    "has_main_web_app": False,
    "has_topics_enabled": False,
    "allows_users_to_create_topics": False,
    "can_manage_bots": False,
}
# setMyName and its like: what the texts are called, and how long each may be.
_TEXTS = {"name": 64, "description": 512, "short_description": 120}


@method("getMe")
async def get_me(telegram: Telegram, call: Call) -> dict[str, Any]:
    return telegram.world.bot_user() | _ABILITIES


@method("logOut", "close")
async def leave(telegram: Telegram, call: Call) -> bool:
    # On the real server these free the token for another server; there is no other one here.
    return True


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
    return commands(telegram, call.text("language_code"))


@method("deleteMyCommands")
async def delete_my_commands(telegram: Telegram, call: Call) -> bool:
    telegram.store.delete(_KIND, _commands_key(call))
    return True


@method("setMyName", "setMyDescription", "setMyShortDescription")
async def set_my_text(telegram: Telegram, call: Call) -> bool:
    field = _field(call)
    value = call.text(field)
    if len(value) > _TEXTS[field]:
        raise bad_request(f"bot {field.replace('_', ' ')} is too long")
    telegram.store.put(_KIND, f"{field}:{call.text('language_code')}", {field: value})
    return True


@method("getMyName", "getMyDescription", "getMyShortDescription")
async def get_my_text(telegram: Telegram, call: Call) -> dict[str, str]:
    field = _field(call)
    return {field: text(telegram, field, call.text("language_code"))}


@method("setChatMenuButton")
async def set_chat_menu_button(telegram: Telegram, call: Call) -> bool:
    return True


@method("getChatMenuButton")
async def get_chat_menu_button(telegram: Telegram, call: Call) -> dict[str, str]:
    return {"type": "commands"}


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


@method("getUserProfilePhotos")
async def get_user_profile_photos(telegram: Telegram, call: Call) -> dict[str, Any]:
    return {"total_count": 0, "photos": []}


def commands(telegram: Telegram, language: str) -> list[dict[str, str]]:
    """The bot's commands for a language, the general ones where there are none for it."""
    found = telegram.store.get(_KIND, f"commands:{language}") or telegram.store.get(_KIND, "commands:")
    listed: list[dict[str, str]] = (found or {"commands": []})["commands"]
    return listed


def text(telegram: Telegram, field: str, language: str) -> str:
    """The bot's `name`, `description` or `short_description`; the general one where there is no other."""
    default = telegram.world.bot_user()["first_name"] if field == "name" else ""
    for key in (f"{field}:{language}", f"{field}:"):
        if (found := telegram.store.get(_KIND, key)) is not None:
            return str(found[field])
    return default


def _commands_key(call: Call) -> str:
    return f"commands:{call.text('language_code')}"


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
