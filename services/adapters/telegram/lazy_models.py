"""Lazy building of aiogram's pydantic models, for a quick start.

aiogram builds all six hundred models at the end of `aiogram/types/__init__.py`: three of four seconds and
half the memory of a bot's start. Held back there, pydantic builds each (`defer_build`) when first used; only
the names in its annotations have to be given.
"""

import sys
from typing import Any, Literal, Optional, Union

_BUILDS = "model_rebuild"
_COMMON = (
    "Update", "Message", "CallbackQuery", "AnswerCallbackQuery", "DeleteMessage", "EditMessageReplyMarkup",
    "EditMessageCaption", "EditMessageText", "GetFile", "GetMe", "GetUpdates", "SendMessage",
    "SendPhoto", "SendVideo", "SetMyCommands",
)  # fmt: skip
_kept: list[Any] = []
"""Answers; pydantic forgets those that nobody holds."""


def build_when_used() -> None:
    """Import aiogram without building its models. No effect when already imported."""
    if "aiogram" in sys.modules:
        return
    from pydantic import BaseModel

    build = vars(BaseModel)[_BUILDS]
    setattr(BaseModel, _BUILDS, classmethod(lambda cls, **options: None))
    try:
        from aiogram import methods, types
        from aiogram.client.default import Default
        from aiogram.methods.base import Response, TelegramMethod
    finally:
        setattr(BaseModel, _BUILDS, build)

    names = {
        "List": list,
        "Optional": Optional,
        "Union": Union,
        "Literal": Literal,
        "Any": Any,
        "Default": Default,
        **{name: getattr(types, name) for name in types.__all__},
        **{name: getattr(methods, name) for name in methods.__all__},
    }

    def build_named(cls: type[BaseModel], /, **options: Any) -> bool | None:
        """`model_rebuild`, called by pydantic at first use, with aiogram's names in scope."""
        found: bool | None = build.__func__(cls, **{"_types_namespace": names} | options)
        return found

    for base in (types.TelegramObject, TelegramMethod, Response):
        setattr(base, _BUILDS, classmethod(build_named))


def build_common() -> None:
    """Build what most processes use, before they are forked from this one."""
    from aiogram import methods, types
    from aiogram.methods.base import Response

    for name in _COMMON:
        model: Any = getattr(types, name, None) or getattr(methods, name)
        model.model_rebuild()
        if hasattr(model, "__returning__"):
            _kept.append(Response.__class_getitem__(model.__returning__))
            _kept[-1].model_rebuild()
