"""A sandbox of Telegram and chat alone, spoken to by aiogram's own client and by plain HTTP."""

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiogram import Bot
from aiogram.client.default import DefaultBotProperties
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from services.sandbox import chat, telegram
from services.sandbox.app import Context, SandboxSettings, build_app
from services.sandbox.faults import Fault, Faults
from services.sandbox.store import Store
from tests.support.outside import ManualClock

TOKEN = SandboxSettings().bot_token


class ListedFaults(Faults):
    """Acts out the faults it was given, by call name, each once."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.next: dict[str, Any] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []

    def take(self, api: str, call: str, **context: str) -> Fault | None:
        self.seen.append((api, call, context))
        fault: Fault | None = self.next.pop(call, None)
        return fault


class Sandbox:
    """One running sandbox: its context, its address, and what a person does to it."""

    def __init__(self, ctx: Context, http: aiohttp.ClientSession) -> None:
        self.ctx = ctx
        self.http = http
        self.api = f"{ctx.base_url}/telegram/bot{TOKEN}"

    @property
    def clock(self) -> ManualClock:
        assert isinstance(self.ctx.clock, ManualClock)
        return self.ctx.clock

    @property
    def faults(self) -> ListedFaults:
        assert isinstance(self.ctx.faults, ListedFaults)
        return self.ctx.faults

    async def person(self, path: str, body: Any = None, status: int = 200) -> Any:
        """POST to `/chat/<path>` and return the JSON answer."""
        url = f"{self.ctx.base_url}/chat/{path}"
        form = isinstance(body, aiohttp.FormData)
        async with self.http.post(url, **({"data": body} if form else {"json": body or {}})) as response:
            assert response.status == status, await response.text()
            return await response.json()

    async def says(self, user_id: int, text: str) -> Any:
        return (await self.person(f"{user_id}/send", {"text": text}))["message"]

    async def sees(self, user_id: int, after: int = 0, **query: Any) -> Any:
        url = f"{self.ctx.base_url}/chat/{user_id}/messages"
        async with self.http.get(url, params={"after": after, **query}) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def call(self, name: str, status: int = 200, **params: Any) -> Any:
        """A Bot API call with a JSON body; the whole envelope."""
        async with self.http.post(f"{self.api}/{name}", json=params) as response:
            envelope = await response.json()
            assert response.status == status, envelope
            return envelope


def picture(width: int = 640, height: int = 480, kind: str = "JPEG", color: str = "teal") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, kind)
    return buffer.getvalue()


async def started(store: Store, clock: ManualClock) -> tuple[Context, TestServer]:
    ctx = Context(store=store, faults=ListedFaults(store), clock=clock)
    app: web.Application = build_app(
        ctx, {"/telegram": telegram.routes, "/chat": chat.routes, "": chat.page_routes}
    )
    server = TestServer(app)
    await server.start_server()
    ctx.base_url = str(server.make_url("/")).rstrip("/")
    return ctx, server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


@pytest.fixture
async def sandbox(http: aiohttp.ClientSession, tmp_path: Path) -> AsyncIterator[Sandbox]:
    store = Store(tmp_path / "sandbox")
    ctx, server = await started(store, ManualClock())
    yield Sandbox(ctx, http)
    await server.close()
    store.close()


def bot_for(sandbox: Sandbox) -> Bot:
    server = TelegramAPIServer.from_base(f"{sandbox.ctx.base_url}/telegram")
    session = AiohttpSession(api=server)
    return Bot(TOKEN, session=session, default=DefaultBotProperties(parse_mode="HTML"))


@pytest.fixture
async def bot(sandbox: Sandbox) -> AsyncIterator[Bot]:
    client = bot_for(sandbox)
    yield client
    await client.session.close()
