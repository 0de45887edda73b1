"""What takes long and is the same in every process: done once, before processes are forked from this one."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import asyncpg

from services.platform.tls import tls_context

_BUILT = (
    "Update", "Message", "CallbackQuery", "AnswerCallbackQuery", "DeleteMessage", "EditMessageReplyMarkup",
    "EditMessageCaption", "EditMessageText", "GetFile", "GetMe", "GetUpdates", "SendMessage",
    "SendPhoto", "SendVideo", "SetMyCommands",
)  # fmt: skip
_OURS_FROM = 16_384
"""Postgres gives lower numbers to its own types only."""
_kept: list[Any] = []
"""Answers; pydantic forgets those that nobody holds."""


def share_certificates() -> None:
    """Give them to aiogram, which reads them anew for each of its sessions."""
    from aiogram.client.session import aiohttp

    vars(aiohttp)["ssl"] = SimpleNamespace(create_default_context=lambda **_: tls_context())


def share_types() -> None:
    """Ask Postgres once per process what an array is: it is the same in each of hundreds of databases."""
    connections: Any = asyncpg.Connection
    ask = connections._introspect_types
    known: dict[frozenset[int], Any] = {}

    async def introspect(connection: Any, oids: Iterable[int], timeout: float | None) -> Any:
        builtin = frozenset(oids)
        if max(builtin) >= _OURS_FROM:
            return await ask(connection, oids, timeout)
        if builtin not in known:
            known[builtin] = await ask(connection, oids, timeout)
        return known[builtin]

    connections._introspect_types = introspect


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
