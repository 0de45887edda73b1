"""The outside companies in this process, on a real socket, and one who takes what they send."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image, ImageDraw

from services.sandbox.app import Clock, Context, RoutesOf, build_app
from services.sandbox.faults import FaultRule, Faults
from services.sandbox.knobs import change_knobs
from services.sandbox.store import Store

KEY = "sandbox-key-1"


class ManualClock(Clock):
    """Time that moves only when told; sleepers wake in the order of their deadlines."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    async def sleep(self, delay_s: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + delay_s, woken))
        await woken

    def advance(self, delay_s: float) -> None:
        self._now += delay_s
        due = sorted((s for s in self._sleepers if s[0] <= self._now), key=lambda sleeper: sleeper[0])
        self._sleepers = [s for s in self._sleepers if s[0] > self._now]
        for _, woken in due:
            if not woken.done():
                woken.set_result(None)


class Outside:
    """One running sandbox, as a test sees it."""

    def __init__(self, ctx: Context, http: aiohttp.ClientSession) -> None:
        self.ctx = ctx
        self.http = http
        self.url = ctx.base_url

    @property
    def clock(self) -> ManualClock:
        assert isinstance(self.ctx.clock, ManualClock)
        return self.ctx.clock

    def turn(self, **settings: Any) -> None:
        """Change settings, as `POST /__sandbox/settings` does."""
        change_knobs(self.ctx, settings)

    def fault(self, api: str, call: str, name: str, **rule: Any) -> None:
        """Add a fault rule."""
        self.ctx.faults.add(FaultRule(api, call, name, **rule))

    async def post(self, path: str, body: Any = None, key: str = KEY, **options: Any) -> Any:
        """POST JSON with a bearer key; the answer's JSON."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with self.http.post(self.url + path, json=body, headers=headers, **options) as reply:
            return await reply.json(content_type=None)

    async def get(self, path: str, key: str = KEY, **query: str) -> Any:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with self.http.get(self.url + path, params=query, headers=headers) as reply:
            return await reply.json(content_type=None)


@asynccontextmanager
async def outside(
    modules: Mapping[str, RoutesOf], path: Path | None = None, clock: Clock | None = None
) -> AsyncIterator[Outside]:
    """Start these modules (prefix to routes); the same `path` again is a restart."""
    with TemporaryDirectory() as folder, closing(Store(path or Path(folder))) as store:
        ctx = Context(store=store, faults=Faults(store), clock=clock or ManualClock())
        server = TestServer(build_app(ctx, dict(modules)))
        await server.start_server()
        ctx.base_url = str(server.make_url("")).rstrip("/")
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
                yield Outside(ctx, http)
        finally:
            await server.close()


class Listener:
    """Our side of callbacks and notifications: keeps what comes, answers `statuses` in turn, then 200."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.received: list[tuple[dict[str, Any], Mapping[str, str]]] = []
        self.url = ""

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [body for body, _ in self.received]

    async def _take(self, request: web.Request) -> web.Response:
        self.received.append((await request.json(), request.headers))
        return web.json_response(
            {"status": "received"}, status=self.statuses.pop(0) if self.statuses else 200
        )


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    listener = Listener()
    app = web.Application()
    app.router.add_post("/{path:.*}", listener._take)
    server = TestServer(app)
    await server.start_server()
    listener.url = str(server.make_url("/hook"))
    try:
        yield listener
    finally:
        await server.close()


def photo(width: int = 320, height: int = 240, kind: str = "JPEG") -> bytes:
    """A picture with something in it, so that movement can be seen."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    ImageDraw.Draw(image).ellipse(
        (width * 3 // 8, height * 3 // 8, width * 5 // 8, height * 5 // 8), fill="red"
    )
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()
