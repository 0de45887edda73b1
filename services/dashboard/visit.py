"""Authenticated request: its arguments, its user, and how it is answered."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web
from redis.asyncio import Redis

from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from services.dashboard.render import Renderer
from services.dashboard.routes import Role, Route
from services.platform.settings import Settings

ARGUMENT_CHARACTERS_MAX = 200
INTEGER_MAX = 2**63 - 1


class User(msgspec.Struct, frozen=True):
    """`id` is random and stands in events as `user:<id>`; `name` is erasable."""

    id: str
    name: str
    role: Role
    locale: str = "ru"

    @property
    def actor(self) -> str:
        return f"user:{self.id}"


Authenticate = Callable[[web.Request], Awaitable[User | None]]
"""Who asks; None: nobody that we know."""


@dataclass(frozen=True)
class Context:
    """What all pages share. `pool` only reads; `redis` is None where none is configured."""

    settings: Settings
    pool: Pool
    ledger: Ledger
    redis: Redis | None
    renderer: Renderer
    routes: tuple[Route, ...]


class BadArgumentError(web.HTTPBadRequest):
    """An argument in the address is not what it should be; the text says what to do."""

    def __init__(self, name: str, wanted: str) -> None:
        super().__init__(text=f"{name}: {wanted}")


@dataclass(frozen=True)
class Visit:
    request: web.Request
    user: User
    context: Context

    @property
    def pool(self) -> Pool:
        return self.context.pool

    def part(self, name: str) -> str:
        """A part of the path."""
        return _short(name, self.request.match_info[name])

    def arg(self, name: str, default: str = "") -> str:
        """An argument of the address. Raises BadArgumentError."""
        return _short(name, self.request.query.get(name, default)).strip()

    def args(self, name: str) -> tuple[str, ...]:
        """All values of an argument, at most 50."""
        values = [_short(name, value) for value in self.request.query.getall(name, []) if value]
        if len(values) > 50:
            raise BadArgumentError(name, "at most 50 of them")
        return tuple(values)

    def int_arg(self, name: str, default: int | None = None) -> int | None:
        """A whole number of the address; `default` when empty. Raises BadArgumentError."""
        text = self.arg(name)
        if not text:
            return default
        if not text.isascii() or not text.isdigit() or int(text) > INTEGER_MAX:
            raise BadArgumentError(name, "a whole number is wanted")
        return int(text)

    def choice(self, name: str, of: Mapping[str, object] | tuple[str, ...], default: str = "") -> str:
        """An argument that is one of these words. Raises BadArgumentError."""
        value = self.arg(name, default)
        if value and value not in of:
            raise BadArgumentError(name, f"one of {', '.join(of)} is wanted")
        return value

    async def render(self, template: str, *, status: int = 200, **facts: Any) -> web.Response:
        """An HTML answer. `visit`, `user` and the path are in every template."""
        html = await self.context.renderer.render(
            self.user.locale, template, visit=self, user=self.user, **facts
        )
        return web.Response(text=html, content_type="text/html", status=status)


def _short(name: str, value: str) -> str:
    if len(value) > ARGUMENT_CHARACTERS_MAX or "\x00" in value:
        raise BadArgumentError(name, f"at most {ARGUMENT_CHARACTERS_MAX} characters")
    return value
