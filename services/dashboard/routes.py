"""Routes as data: method, path, handler, and the least role."""

from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Any, NamedTuple

from aiohttp import web

Handler = Callable[[Any], Awaitable[web.StreamResponse]]
"""Takes a Visit."""


class Role(IntEnum):
    """Each may do what those before it may."""

    nobody = 0
    """Who has no session."""
    auditor = 1
    operator = 2
    owner = 3


class Route(NamedTuple):
    method: str
    path: str
    handler: Handler
    least: Role = Role.auditor
