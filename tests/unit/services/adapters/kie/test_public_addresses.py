"""The address that was checked is the one connected to, and TLS speaks of the name."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.adapters.kie import public_addresses
from services.adapters.kie.download import ResultFetcher
from services.adapters.kie.errors import BrokenResultError
from services.adapters.kie.public_addresses import is_public, origin_of, public_client
from services.platform.blobs import FolderBlobs
from tests.support.certificates import tls_for
from tests.support.each import each

MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(1000)


@pytest.fixture
async def hits() -> list[str]:
    return []


@pytest.fixture
async def app(hits: list[str]) -> web.Application:
    async def answer(request: web.Request) -> web.Response:
        hits.append(request.host)
        return web.Response(body=MP4)

    app = web.Application()
    app.router.add_get("/v.mp4", answer)
    return app


@pytest.fixture
async def server(app: web.Application) -> AsyncIterator[TestServer]:
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


async def test_a_name_that_changes_its_answer_leads_nowhere(
    server: TestServer, hits: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Public when it is checked, inside when it is connected to."""
    answers = ["93.184.216.34", "127.0.0.1"]

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers.pop(0), port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=False)
    fetcher = ResultFetcher(public_client([], use_proxies=False), FolderBlobs(tmp_path), [])
    with pytest.raises(BrokenResultError, match="not a public one"):
        await fetcher.fetch(f"http://rebinding.test:{server.port}/v.mp4", "videos/j1-1.mp4")
    assert answers == [] and hits == []
    await fetcher.close()


async def test_an_address_is_checked_even_when_nobody_has_before(server: TestServer, hits: list[str]) -> None:
    async with public_client([], use_proxies=False) as client:
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(BrokenResultError, match="not a public one"):
                await client.get(f"http://{host}:{server.port}/v.mp4")
    assert hits == []


async def test_what_is_trusted_is_reached_at_its_port_only(server: TestServer, hits: list[str]) -> None:
    async with public_client([("127.0.0.1", server.port or 0)], use_proxies=False) as client:
        assert (await client.get(f"http://127.0.0.1:{server.port}/v.mp4")).content == MP4
        with pytest.raises(BrokenResultError):
            await client.get(f"http://localhost:{server.port}/v.mp4")
    assert len(hits) == 1


@pytest.mark.parametrize(("certified", "good"), [("files.test", True), ("another.test", False)])
async def test_tls_is_checked_against_the_name(
    app: web.Application,
    hits: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    certified: str,
    good: bool,
) -> None:
    async def resolve(host: str, port: int) -> list[Any]:
        return [ipaddress.ip_address("127.0.0.9"), ipaddress.ip_address("127.0.0.1")]  # nobody at the first

    monkeypatch.setattr(public_addresses, "require_public", resolve)
    serving, trusting = tls_for(certified, tmp_path)
    server = TestServer(app, scheme="https", host="127.0.0.1")
    await server.start_server(ssl=serving)
    url = f"https://files.test:{server.port}/v.mp4"
    async with public_client([], use_proxies=False, verify=trusting) as client:
        if good:
            assert (await client.get(url)).content == MP4
            assert hits == [f"files.test:{server.port}"]
        else:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get(url)
            assert hits == []
    await server.close()


@each(
    ("url", "origin"),
    [
        ("https://Files.TEST/a", ("files.test", 443)),
        ("http://user:pass@files.test:8080/a", ("files.test", 8080)),
        ("http://[::1]:81/", ("::1", 81)),
        ("ftp://files.test/a", None),
        ("https://files.test:99999/", None),
        ("", None),
    ],
)
def test_where_an_address_leads(url: str, origin: tuple[str, int] | None) -> None:
    assert origin_of(url) == origin


@each(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("93.184.216.34", True),
        ("2a02:5180::1", True),
        ("2606:4700:4700::1111", True),
        ("2001:4860:4860::8888", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("10.0.0.5", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("192.0.0.8", False),
        ("192.0.2.1", False),
        ("192.88.99.1", False),
        ("192.168.1.1", False),
        ("198.18.0.1", False),
        ("224.0.0.251", False),
        ("239.255.255.250", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::7f00:1", False),
        ("::8.8.8.8", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", False),
        ("::ffff:0:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::8.8.8.8", False),
        ("64:ff9b:1::a00:5", False),
        ("100::1", False),
        ("2001::1", False),
        ("2001:0:7f00:1::", False),
        ("2001:20::1", False),
        ("2001:db8::1", False),
        ("2002:7f00:1::", False),
        ("2002:808:808::1", False),
        ("3fff::1", False),
        ("4000::1", False),
        ("fc00::1", False),
        ("fd00:ec2::254", False),
        ("fe80::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("ff0e::1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) == public


@pytest.mark.parametrize("answers", [["8.8.8.8", "64:ff9b::7f00:1"], ["fec0::1"], ["::7f00:1", "8.8.8.8"]])
async def test_every_address_of_a_name_is_checked(
    answers: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (answer, port, 0, 0)) for answer in answers]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=False)
    with pytest.raises(BrokenResultError, match="not a public one"):
        await public_addresses.require_public("files.test", 443)


@each("host", ["[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::7f00:1]", "2130706433", "0x7f.1"])
async def test_a_redirect_to_a_disguised_address_is_refused(host: str, tmp_path: Path) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.host == "files.test":
            return httpx.Response(302, headers={"location": f"http://{host}/v.mp4"})
        return httpx.Response(200, content=MP4)

    client = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    fetcher = ResultFetcher(client, FolderBlobs(tmp_path), [("files.test", 80)])
    with pytest.raises(BrokenResultError, match="not a public one"):
        await fetcher.fetch("http://files.test/v.mp4", "videos/j1-1.mp4")
