"""The dashboard's pages over a real database, without a browser: one user, whose role tests choose."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from services.dashboard.main import build_app
from services.dashboard.pages import ROUTES
from services.dashboard.render import Renderer
from services.dashboard.routes import Role, Route
from services.dashboard.sessions import Sessions
from services.dashboard.users import User, Users
from services.dashboard.visit import Authenticate, Context
from services.platform.settings import Settings

Client = TestClient[web.Request, web.Application]
OURS = {"Sec-Fetch-Site": "same-origin"}
"""What a browser says of a form of our own."""


@asynccontextmanager
async def open_pages(
    pool: Pool,
    ledger: Ledger,
    settings: Settings,
    *,
    role: Role = Role.owner,
    locale: str = "en",
    redis: Redis | None = None,
    name: str = "0" * 24,
) -> AsyncIterator[Client]:
    """A client of the dashboard, let in as somebody of this role."""
    user = User(name, "olga", role, locale)

    async def authenticate(_: web.Request) -> User:
        return user

    async with open_door(pool, pool, ledger, settings, authenticate=authenticate, redis=redis) as client:
        yield client


@asynccontextmanager
async def open_door(
    pool: Pool, writing: Pool, ledger: Ledger, settings: Settings, *,
    redis: Redis | None = None, authenticate: Authenticate | None = None, routes: tuple[Route, ...] = ROUTES,
) -> AsyncIterator[Client]:  # fmt: skip
    """A client that has to log in, unless somebody else authenticates it."""
    sessions = Sessions(settings, pool, Users(writing))
    context = Context(settings, pool, ledger, redis, Renderer(), routes, sessions)
    async with TestClient(TestServer(build_app(context, authenticate)), headers=OURS) as client:
        yield client


async def page(client: Client, address: str, status: int = 200) -> str:
    """The text of a page. Redirects are not followed."""
    response = await client.get(address, allow_redirects=False)
    text = await response.text()
    assert response.status == status, f"{address}: {response.status} {text[:500]}"
    return text
