"""What takes long and is the same in every process: done once, before processes are forked from this one."""

from types import SimpleNamespace
from typing import Any

from services.platform.tls import tls_context

_BUILT = (
    "Update", "Message", "CallbackQuery", "AnswerCallbackQuery", "DeleteMessage", "EditMessageReplyMarkup",
    "EditMessageText", "GetFile", "GetMe", "GetUpdates", "SendMessage", "SendVideo", "SetMyCommands",
)  # fmt: skip
_kept: list[Any] = []
"""Answers; pydantic forgets those that nobody holds."""


def share_certificates() -> None:
    """Give them to aiogram, which reads them anew for each of its sessions."""
    from aiogram.client.session import aiohttp

    vars(aiohttp)["ssl"] = SimpleNamespace(create_default_context=lambda **_: tls_context())


def prepare() -> None:
    """Read certificates and texts, and build what most processes use of aiogram's models."""
    from aiogram import methods, types
    from aiogram.methods.base import Response

    from services.bot.main import bot_texts

    tls_context()
    bot_texts()
    for name in _BUILT:
        model: Any = getattr(types, name, None) or getattr(methods, name)
        model.model_rebuild()
        if hasattr(model, "__returning__"):
            _kept.append(Response.__class_getitem__(model.__returning__))
            _kept[-1].model_rebuild()
