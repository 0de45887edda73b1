"""The web application on a free port, with a provider whose records a test decides."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import asyncpg
import pytest
from aiohttp import web

from ledger.log.ledger import Ledger
from services.adapters.kie.gateway import Kie, account_name
from services.generation.callback_urls import callback_url
from services.platform.blobs import FolderBlobs
from services.platform.database import create_pool
from services.platform.file_links import FileLinks
from services.platform.health import Health, address_of
from services.platform.settings import Settings, load_settings
from services.web.files import Files
from services.web.kie_webhook import CallbackDesk, KieWebhook
from services.web.main import build_app
from tests.support.order_fixture import OrderFixture

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

PUBLIC = "https://cards.example"
OK = {"code": 200, "msg": "success"}


def finished(task: str) -> dict[str, object]:
    """What the provider calls back with."""
    return {"code": 200, "msg": "Playground task completed successfully.", "data": {"taskId": task}}


async def task_of(ledger: Ledger, job: str) -> str | None:
    """The recorded task of the first submission."""
    return (await ledger.read.job(job)).submissions[0].task


class ScriptedKie:
    """recordInfo as the provider answers it. `records`: task → data; anything else is unknown."""

    def __init__(self) -> None:
        self.base = ""
        self.records: dict[str, dict[str, Any]] = {}
        self.reads: list[tuple[str, str]] = []
        self.away = False

    def made(self, task: str, callback: str | None, state: str = "success") -> None:
        """The task exists, and its creator asked for calls at `callback`."""
        param = json.dumps({"callBackUrl": callback, "model": "m", "input": {}})
        self.records[task] = {
            "taskId": task,
            "state": state,
            "param": param,
            "resultJson": '{"resultUrls":[]}',
        }

    async def answer(self, request: web.Request) -> web.Response:
        task = request.query["taskId"]
        self.reads.append((task, request.headers["Authorization"]))
        if self.away:
            return web.Response(status=502, text="<html>Bad Gateway</html>", content_type="text/html")
        record = self.records.get(task)
        if record is None:
            return web.json_response({"code": 422, "msg": "recordInfo is null", "data": None})
        return web.json_response({"code": 200, "msg": "success", "data": record})


async def listening(app: web.Application) -> tuple[web.AppRunner, str]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, address_of(runner)


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedKie]:
    kie, app = ScriptedKie(), web.Application()
    app.router.add_get("/api/v1/jobs/recordInfo", kie.answer)
    runner, kie.base = await listening(app)
    yield kie
    await runner.cleanup()


@pytest.fixture
def settings(database_url: str, provider: ScriptedKie, tmp_path: Path) -> Settings:
    return load_settings(
        database_url=database_url,
        kie_api_url=provider.base,
        kie_api_keys="key-one",
        callback_secret="of these tests alone",
        public_url=PUBLIC,
        data_dir=tmp_path,
    )


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator["Pool"]:
    async with await create_pool(settings, "test") as pool:
        yield pool


@pytest.fixture
async def ledger(settings: Settings, pool: "Pool") -> AsyncIterator[Ledger]:
    async with Ledger(settings.require_database_url(), pool) as ledger:
        yield ledger


@pytest.fixture
def studio(settings: Settings, ledger: Ledger, pool: "Pool") -> OrderFixture:
    return OrderFixture(ledger, pool, FolderBlobs(settings.data_dir / "blobs"))


@pytest.fixture
async def job(studio: OrderFixture, settings: Settings) -> str:
    """A job with an intent whose outcome is unknown: the answer to createTask was lost."""
    order = await studio.order(await studio.seller())
    await studio.start(order.jobs[0])
    await studio.submit(order.jobs[0], provider_account=account_name(settings.kie_keys[0]))
    return order.jobs[0]


class Browser:
    """Whoever calls: the provider, a person, a stranger."""

    def __init__(self, base: str, http: aiohttp.ClientSession, settings: Settings, hinted: list[str]) -> None:
        self.base = base
        self.http = http
        self.hinted = hinted
        self._settings = settings

    def path(self, job: str, submission: int = 1) -> str:
        """The path of a submission's callback address."""
        url = callback_url(self._settings, job, submission)
        assert url is not None
        return url.removeprefix(PUBLIC)

    async def call_back(self, path: str, body: Any, **signed: str) -> tuple[int, Any]:
        """Status and JSON of the answer to a callback; `body` as JSON unless it is bytes."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in signed.items()}
        async with self.http.post(self.base + path, data=data, headers=headers) as reply:
            text = await reply.text()
            return reply.status, json.loads(text) if text.startswith("{") else text


@pytest.fixture
async def browser(settings: Settings, ledger: Ledger, studio: OrderFixture) -> AsyncIterator[Browser]:
    async with Kie(settings, studio.blobs) as kie, aiohttp.ClientSession() as http:
        health = Health()
        health.started = True
        hinted: list[str] = []
        webhook = KieWebhook(settings, CallbackDesk(settings, ledger, kie, hinted.append))
        files = Files(FileLinks(settings), studio.blobs)
        runner, base = await listening(build_app(health, [*webhook.routes(), *files.routes()]))
        yield Browser(base, http, settings, hinted)
        await runner.cleanup()
