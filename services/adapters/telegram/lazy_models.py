"""Lets aiogram build each of its models when it is first used, instead of all of them at the start.

aiogram declares its models with pydantic's `defer_build`, and then builds all six hundred at the end of
`aiogram/types/__init__.py`: three of the four seconds, and half of the memory, that a bot or a notifier took
to start. Held back there, pydantic builds a model by itself when it is needed; only the names in its
annotations have to be given.
"""

import sys
from typing import Any, Literal, Optional, Union

_BUILDS = "model_rebuild"


def build_when_used() -> None:
    """Import aiogram without building its models. Does nothing when it was imported already."""
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
        """`model_rebuild`, which pydantic calls at a model's first use, told what aiogram's names are."""
        found: bool | None = build.__func__(cls, **{"_types_namespace": names} | options)
        return found

    for base in (types.TelegramObject, TelegramMethod, Response):
        setattr(base, _BUILDS, classmethod(build_named))
