"""Who asks: by a session's cookie, or by the header of a trusted proxy.

A session is a row of the database. The cookie holds 256 random bits, the database their hash. Its name begins
with `__Host-` wherever pages are reached by https; by plain http, which is this machine alone, it does not,
as Safari takes no secure cookie there.
"""

import contextlib
import secrets
from typing import Final

from aiohttp import web
from asyncpg import Record

from ledger.postgres import TRANSIENT, Pool
from ledger.sql import load_queries
from services.dashboard.routes import Role
from services.dashboard.users import Device, User, Users, hashed
from services.platform.catalogues import LOCALES
from services.platform.settings import Settings

query = load_queries("services.dashboard")

LIFE_S: Final = 7 * 86_400
SEEN_EVERY_S: Final = 60.0
AGENT_CHARACTERS_MAX: Final = 200


class Sessions:
    """`pool` only reads, `users` write."""

    def __init__(self, settings: Settings, pool: Pool, users: Users) -> None:
        self._pool = pool
        self.users = users
        self._proxy, _, self._header = settings.dashboard_trusted_proxy.partition(" ")
        self.secure = settings.dashboard_base.startswith("https://")
        self.cookie = "__Host-neurocards" if self.secure else "neurocards"

    async def authenticate(self, request: web.Request) -> User | None:
        """None: nobody that we know. Raises HTTPForbidden for who goes past the trusted proxy."""
        if self._header:
            return await self._named_by_proxy(request, self._header)
        token = request.cookies.get(self.cookie)
        if not token:
            return None
        row = await self._pool.fetchrow(query("session_of"), hashed(token))
        if row is None:
            return None
        if row["unseen_s"] > SEEN_EVERY_S and not _by_itself(request):
            with contextlib.suppress(*TRANSIENT):  # one that takes no writes may still be looked at
                await self.users.seen(row["session"])
        return _user(row, request, row["session"])

    def device(self, request: web.Request) -> tuple[str, Device]:
        """A new session's token and what is written down of it."""
        token = secrets.token_urlsafe(32)
        agent = request.headers.get("User-Agent", "")[:AGENT_CHARACTERS_MAX].encode(errors="replace").decode()
        return token, Device(hashed(token), self.address(request), agent)

    def address(self, request: web.Request) -> str:
        """Address that asks; a trusted proxy tells it, as the last one in X-Forwarded-For."""
        peer = request.remote or ""
        if peer and peer == self._proxy:
            return request.headers.get("X-Forwarded-For", peer).rpartition(",")[2].strip()[:64]
        return peer

    def let_in(self, response: web.Response, token: str) -> None:
        response.set_cookie(
            self.cookie, token, max_age=LIFE_S, secure=self.secure, httponly=True, samesite="Lax", path="/"
        )

    def let_out(self, response: web.Response) -> None:
        response.del_cookie(self.cookie, path="/", secure=self.secure, httponly=True, samesite="Lax")

    async def _named_by_proxy(self, request: web.Request, header: str) -> User | None:
        if request.remote != self._proxy:
            raise web.HTTPForbidden(text="these pages are reached through a proxy; it knows who you are")
        names = request.headers.getall(header, [])
        if len(names) != 1 or not names[0]:
            return None
        row = await self._pool.fetchrow(query("user_named"), names[0])
        return None if row is None else _user(row, request, 0)


def _by_itself(request: web.Request) -> bool:
    """Whether an open page asks and no person: that keeps no session alive."""
    return "HX-Request" in request.headers or request.headers.get("Accept") == "text/event-stream"


def _user(row: Record, request: web.Request, session: int) -> User:
    return User(row["id"], row["name"], Role[row["role"]], row["locale"] or preferred(request), session)


def preferred(request: web.Request) -> str:
    """Language that the browser asks for first, of those that there are."""
    asked = request.headers.get("Accept-Language", "").lower()
    found = [(place, locale) for locale in LOCALES if (place := asked.find(locale)) >= 0]
    return min(found)[1] if found else "en"
