"""Authenticated request: its arguments, its user, and how it is answered."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from gettext import NullTranslations
from typing import Any, Final

from aiohttp import web
from redis.asyncio import Redis

from ledger.log.ledger import Ledger
from ledger.postgres import TRANSIENT, Pool
from ledger.sql import load_queries
from projections.reports.log_position import NOW, AsOf
from services.dashboard.render import Renderer
from services.dashboard.routes import Role, Route
from services.dashboard.sessions import Sessions
from services.dashboard.users import User
from services.platform.settings import Settings

query = load_queries("services.dashboard")

ARGUMENT_CHARACTERS_MAX = 200
INTEGER_MAX = 2**63 - 1
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_YEAR: Final = 1971
FORM_S = 10.0
"""A form has to be here by then."""
TIME_US_MAX: Final = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


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
    sessions: Sessions


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

    @property
    def texts(self) -> NullTranslations:
        return self.context.renderer.texts[self.user.locale]

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
        return self.integer(name, text) if text else default

    def time_us_arg(self, name: str) -> int | None:
        """Epoch microseconds, of a year that Postgres and Python know. Raises BadArgumentError."""
        value = self.int_arg(name)
        if value is not None and value > TIME_US_MAX:
            raise BadArgumentError(name, "microseconds of a year before 10000 are wanted")
        return value

    def integer(self, name: str, text: str) -> int:
        """Raises BadArgumentError unless the text is a whole number."""
        if not text.isascii() or not text.isdigit() or int(text) > INTEGER_MAX:
            raise BadArgumentError(name, "a whole number is wanted")
        return int(text)

    def moment(self, name: str, *, ends: bool = False) -> AsOf:
        """A position or ISO 8601 time; now when empty. Raises BadArgumentError.

        Without a zone it is UTC. `ends`: a time is the first that does not count.
        """
        text = self.arg(name)
        if not text:
            return NOW
        if text.isascii() and text.isdigit():
            return AsOf(position=self.integer(name, text))
        try:
            time = datetime.fromisoformat(text)
            time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
            if time.year < FIRST_YEAR:
                raise ValueError("before there were positions")
        except (ValueError, OverflowError):
            hint = "a position or a time like 2026-11-30 or 2026-11-30T12:00+03:00 is wanted"
            raise BadArgumentError(name, hint) from None
        return AsOf(time_us=(time - EPOCH) // timedelta(microseconds=1) - ends)

    def choice(self, name: str, of: Mapping[str, object] | tuple[str, ...], default: str = "") -> str:
        """An argument that is one of these words. Raises BadArgumentError."""
        value = self.arg(name, default)
        if value and value not in of:
            raise BadArgumentError(name, f"one of {', '.join(of)} is wanted")
        return value

    async def form(self) -> Mapping[str, Any]:
        """The form that was sent. Raises BadArgumentError, and HTTPRequestTimeout for half of one.

        One that is packed is refused (HTTPUnsupportedMediaType): no browser does that.

        Who sends it byte by byte takes up a connection, and needs no session for that.
        """
        if self.request.headers.get("Content-Encoding", "identity") != "identity":
            raise web.HTTPUnsupportedMediaType(text="send the form as it is, not packed")
        try:
            async with asyncio.timeout(FORM_S):
                return await self.request.post()
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="the form did not come to its end; send it again") from None
        except (ValueError, LookupError):  # no UTF-8, or a charset or boundary that nobody knows
            raise BadArgumentError("form", "it cannot be read; send it from its page") from None

    async def field(self, name: str, *, most: int = ARGUMENT_CHARACTERS_MAX) -> str:
        """A field of the form that was sent. Raises BadArgumentError."""
        value = (await self.form()).get(name, "")
        return _short(name, value if isinstance(value, str) else "", most).strip()

    async def reveal(self, account: str) -> bool:
        """Whether what is personal of an account may be shown; that it is, is noted before.

        An auditor needs a reason, given within the hour at `/reveal`; nobody sees any while nothing can be
        noted.
        """
        note = self.context.sessions.users.note_read
        needed = self.user.role is Role.auditor
        try:
            return await note(self.user.actor, self.place, account, reason_needed=needed)
        except TRANSIENT:
            return False

    @property
    def place(self) -> str:
        """The route's pattern, as notes of what was read name it."""
        resource = self.request.match_info.route.resource
        return "page " + (resource.canonical if resource is not None else "")

    async def render(
        self, template: str, *, status: int = 200, shows: tuple[str, ...] = (), **facts: Any
    ) -> web.Response:
        """An HTML answer. `visit` and `user` are in every template; `shows`: what read models it says."""
        if shows:
            facts["reached"] = await self.pool.fetchrow(query("reached"), shows)
        html = self.context.renderer.render(self.user.locale, template, visit=self, user=self.user, **facts)
        return web.Response(text=html, content_type="text/html", status=status)


def _short(name: str, value: str, most: int = ARGUMENT_CHARACTERS_MAX) -> str:
    if len(value) > most or "\x00" in value:
        raise BadArgumentError(name, f"at most {most} characters")
    return value
