"""Whoever says nothing, or says it slowly, takes nobody else's place."""

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from aiohttp import web
from prometheus_client import REGISTRY

from services.dashboard import main
from services.platform.blobs import one_chunk
from services.platform.file_links import FileLinks
from services.platform.health import address_of
from services.platform.http_server import LimitedRunner
from services.platform.settings import Settings
from services.platform.tls import tls_context
from services.web import files, kie_webhook
from services.web.main import PEER_CONNECTIONS_MAX, build_runner
from tests.integration.services.web.conftest import PUBLIC, Browser
from tests.support.order_fixture import OrderFixture
from tests.support.services import ServiceProcess
from tests.support.waiting import eventually

SILENT = 300
FILES_MAX = 256
"""As a login shell allows on some systems: fewer than there are silent connections."""


@pytest.fixture
def service(tmp_path: Path, database_url: str) -> Iterator[ServiceProcess]:
    program = f"ulimit -n {FILES_MAX}; exec {sys.executable} -m services.cli serve web"
    env = {"DATABASE_URL": database_url, "WEB_PORT": 0}
    service = ServiceProcess("web", tmp_path, env, command=["sh", "-c", program])
    service.start(wait_s=60)
    yield service
    service.kill()


@contextlib.contextmanager
def silent(url: str, count: int) -> Iterator[list[socket.socket]]:
    """So many connections on which nothing is said."""
    where = urlsplit(url)
    opened = []
    try:
        for _ in range(count):
            opened.append(socket.create_connection((str(where.hostname), where.port or 0), timeout=30))
        yield opened
    finally:
        for connection in opened:
            connection.close()


@pytest.mark.parametrize("server", ["web_url", "health_url"])
async def test_three_hundred_silent_connections_stop_nobody(service: ServiceProcess, server: str) -> None:
    url = service.facts[server]
    with silent(url, SILENT):
        async with httpx.AsyncClient(verify=tls_context(), timeout=60) as http:
            if server == "web_url":
                reply = await http.post(f"{url}/webhooks/kie/j1/1/wrong", json={"data": {"taskId": "t1"}})
                assert reply.status_code == 404
            assert (await http.get(f"{url}/health/ready")).status_code == 200
    assert "Traceback" not in service.log


Serve = Callable[..., Awaitable[str]]
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[..., Awaitable[Connection]]


class Release(asyncio.Event):
    """Until it is set, whoever asks for /wait gets no answer; `asked` counts them."""

    asked = 0


@pytest.fixture
async def release() -> Release:
    return Release()


@pytest.fixture
async def serve(release: Release) -> AsyncIterator[Serve]:
    runners: list[LimitedRunner] = []

    async def wait(request: web.Request) -> web.Response:
        release.asked += 1
        await release.wait()
        return web.Response(text="done")

    async def start(**limits: float) -> str:
        app = web.Application()
        app.router.add_get("/wait", wait)
        runners.append(LimitedRunner(app, **{"most": 100, **limits}))  # type: ignore[arg-type]
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        return address_of(runners[-1])

    yield start
    release.set()
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open a connection and say something on it."""
    opened: list[asyncio.StreamWriter] = []

    async def connect(url: str, said: str = "") -> Connection:
        where = urlsplit(url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        opened.append(writer)
        writer.write(said.encode())
        return reader, writer

    yield connect
    for writer in opened:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def ended(connection: Connection) -> bool:
    """Whether the server ends it without a word."""
    with contextlib.suppress(ConnectionError):
        return await asyncio.wait_for(connection[0].read(), 30) == b""
    return True


GET = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("limits", [{"most": 3}, {"per_peer": 3}])
async def test_a_newcomer_takes_the_place_of_the_longest_silent(
    serve: Serve, connect: Connect, release: Release, limits: dict[str, float]
) -> None:
    url = await serve(**limits)
    worker = await connect(url, GET)
    await eventually(lambda: release.asked == 1)
    first, second = await connect(url), await connect(url)
    newcomer = await connect(url, GET)
    assert await ended(first)
    release.set()
    for connection in (worker, newcomer):
        assert b"done" in await asyncio.wait_for(connection[0].readuntil(b"done"), 30)
    second[1].write(GET.encode())
    assert b"done" in await asyncio.wait_for(second[0].readuntil(b"done"), 30)


async def test_whoever_was_answered_is_silent_from_then_on_only(
    serve: Serve, connect: Connect, release: Release
) -> None:
    release.set()
    url = await serve(most=2)
    answered, silent_one = await connect(url), await connect(url)
    answered[1].write(GET.encode())
    await asyncio.wait_for(answered[0].readuntil(b"done"), 30)
    await connect(url)
    assert await ended(silent_one)
    answered[1].write(GET.encode())
    await asyncio.wait_for(answered[0].readuntil(b"done"), 30)


async def test_where_all_are_at_work_a_newcomer_is_turned_away(
    serve: Serve, connect: Connect, release: Release
) -> None:
    url = await serve(most=2)
    workers = [await connect(url, GET), await connect(url, GET)]
    await eventually(lambda: release.asked == 2)
    assert await ended(await connect(url, GET))
    release.set()
    for connection in workers:
        await asyncio.wait_for(connection[0].readuntil(b"done"), 30)


@pytest.mark.parametrize("said", ["", "GET /wait HTTP/1.1\r\nHo", "POST /wait HTTP/1.1\r\nA: b\r\n"])
async def test_a_header_that_does_not_end_ends_the_connection(
    serve: Serve, connect: Connect, said: str
) -> None:
    assert await ended(await connect(await serve(silence_s=0.5), said))


async def test_dripping_a_header_does_not_help(serve: Serve, connect: Connect) -> None:
    connection = await connect(await serve(silence_s=1.0), "GET /wait HTTP/1.1\r\n")

    async def drip() -> None:
        while True:
            connection[1].write(b"A: b\r\n")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    assert await ended(connection)
    dripping.cancel()


async def test_a_proxy_is_not_taken_for_one_greedy_peer() -> None:
    for build, most in ((build_runner, PEER_CONNECTIONS_MAX), (main.build_runner, main.PEER_CONNECTIONS_MAX)):
        assert build(web.Application(), proxied=True)._per_peer == 0
        assert build(web.Application(), proxied=False)._per_peer == most


async def test_a_body_that_does_not_end_is_not_waited_for(
    job: str, browser: Browser, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kie_webhook, "BODY_S_MAX", 0.2)
    header = f"POST {browser.path(job)} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{"
    reader, _ = await connect(browser.base, header)
    assert b" 408 " in await asyncio.wait_for(reader.readline(), 30)


async def test_a_reader_who_stalls_is_not_waited_for(
    browser: Browser,
    connect: Connect,
    studio: OrderFixture,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "STALL_S_MAX", 0.2)
    size_bytes = 64 * 1024 * 1024
    await studio.blobs.put("videos/big.mp4", one_chunk(bytes(size_bytes)), size_bytes_max=size_bytes)
    path = FileLinks(settings).url("videos/big.mp4", int(time.time()) + 600).removeprefix(PUBLIC)
    reader, _ = await connect(browser.base, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
    in_flight = "neurocards_web_requests_in_flight"
    await eventually(lambda: REGISTRY.get_sample_value(in_flight) == 1)
    await eventually(lambda: REGISTRY.get_sample_value(in_flight) == 0)
    with contextlib.suppress(ConnectionError):
        assert len(await asyncio.wait_for(reader.read(-1), 30)) < size_bytes


async def test_slow_readers_of_videos_leave_room_for_callbacks(
    browser: Browser,
    connect: Connect,
    studio: OrderFixture,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "DOWNLOADS_OF_ONE_MAX", 2)
    size_bytes = 64 * 1024 * 1024
    await studio.blobs.put("videos/slow.mp4", one_chunk(bytes(size_bytes)), size_bytes_max=size_bytes)
    path = FileLinks(settings).url("videos/slow.mp4", int(time.time()) + 600).removeprefix(PUBLIC)
    asked = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"
    first, second = [await connect(browser.base, asked) for _ in range(2)]
    for reader, _ in (first, second):
        assert b" 200 " in await asyncio.wait_for(reader.readline(), 30)
    reader, _ = await connect(browser.base, asked)
    assert b" 503 " in await asyncio.wait_for(reader.readline(), 30)
    first[1].transport.abort()

    async def served() -> bool:
        again, _ = await connect(browser.base, asked)
        return b" 200 " in await asyncio.wait_for(again.readline(), 30)

    await eventually(served)
