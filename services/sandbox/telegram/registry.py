"""The methods the Bot API knows here, by name, whatever its case."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from services.sandbox.telegram.wire import Call

# Takes the Telegram (service.Telegram) and the call; returns the answer's "result".
Handler = Callable[[Any, Call], Awaitable[Any]]


@dataclass(frozen=True)
class Described:
    """A result that comes with a sentence: `{"ok":true,"result":true,"description":"Webhook was set"}`."""

    result: Any
    description: str


@dataclass(frozen=True)
class Method:
    """A method as it is spelled, and what does it."""

    name: str
    handler: Handler


METHODS: dict[str, Method] = {}


def method(*names: str) -> Callable[[Handler], Handler]:
    """Register a handler under its method's names."""

    def register(handler: Handler) -> Handler:
        for name in names:
            METHODS[name.lower()] = Method(name, handler)
        return handler

    return register
