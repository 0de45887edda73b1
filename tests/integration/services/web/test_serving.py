"""Files by signed links, health, headers, and the process itself."""

import asyncio
import time
from pathlib import Path

import aiohttp
import httpx
import pytest
from structlog.testing import capture_logs

from services.platform.blobs import BlobStoreAwayError, FolderBlobs, one_chunk
from services.platform.file_links import FileLinks
from services.platform.settings import Settings
from services.platform.tls import tls_context
from tests.integration.services.web.conftest import PUBLIC, Browser
from tests.support.order_fixture import OrderFixture
from tests.support.services import ServiceProcess
from tests.support.waiting import eventually

DATA = bytes(range(256)) * 4096  # a megabyte
BLOB = "videos/big.mp4"


@pytest.fixture
async def link(studio: OrderFixture, settings: Settings) -> str:
    """The path of a link to a stored video."""
    await studio.blobs.put(BLOB, one_chunk(DATA), size_bytes_max=len(DATA))
    return FileLinks(settings).url(BLOB, int(time.time()) + 60).removeprefix(PUBLIC)


async def get(
    browser: Browser, path: str, method: str = "GET", **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    async with browser.http.request(method, browser.base + path, headers=headers) as reply:
        return (
            reply.status,
            await reply.read(),
            {name.lower(): value for name, value in reply.headers.items()},
        )


async def test_the_whole_file(browser: Browser, link: str) -> None:
    status, data, headers = await get(browser, link)
    assert (status, data) == (200, DATA)
    assert headers["content-type"] == "video/mp4"
    assert headers["content-length"] == str(len(DATA))
    assert headers["accept-ranges"] == "bytes"


async def test_a_part(browser: Browser, link: str) -> None:
    size = len(DATA)
    for asked, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=300000-", 300_000, size),
        ("bytes=5-1000000000", 5, size),
        ("bytes=-7", size - 7, size),
        ("bytes=-99999999", 0, size),
    ):
        status, data, headers = await get(browser, link, Range=asked)
        assert (status, data) == (206, DATA[start:end]), asked
        assert headers["content-range"] == f"bytes {start}-{end - 1}/{size}"


async def test_a_range_that_makes_no_sense_is_ignored(browser: Browser, link: str) -> None:
    for asked in ("bytes=0-1,5-6", "bytes=9-3", "bytes=-", "lines=1-2", "bytes=x"):
        status, data, _ = await get(browser, link, Range=asked)
        assert (status, len(data)) == (200, len(DATA)), asked


async def test_a_range_past_the_end(browser: Browser, link: str) -> None:
    for asked in (f"bytes={len(DATA)}-", "bytes=-0"):
        status, _, headers = await get(browser, link, Range=asked)
        assert status == 416, asked
        assert headers["content-range"] == f"bytes */{len(DATA)}"


async def test_a_part_of_another_version_is_the_whole(browser: Browser, link: str) -> None:
    _, _, headers = await get(browser, link)
    same = {"If-Range": headers["etag"]}
    assert (await get(browser, link, Range="bytes=0-1", **same))[0] == 206
    assert (await get(browser, link, Range="bytes=0-1", **{"If-Range": '"other"'}))[0] == 200


async def test_head_tells_the_size(browser: Browser, link: str) -> None:
    status, data, headers = await get(browser, link, "HEAD")
    assert (status, data, headers["content-length"]) == (200, b"", str(len(DATA)))


async def test_links_that_are_not_ours_lead_nowhere(browser: Browser, link: str, settings: Settings) -> None:
    expired = FileLinks(settings).url(BLOB, int(time.time()) - 1).removeprefix(PUBLIC)
    missing = FileLinks(settings).url("videos/none.mp4", int(time.time()) + 60).removeprefix(PUBLIC)
    outside = FileLinks(settings).url("../secret", int(time.time()) + 60).removeprefix(PUBLIC)
    for path in (expired, missing, outside, link[:-2] + "AA", "/files/", "/files/..%2f..%2fetc", "/files/x"):
        assert (await get(browser, path))[0] == 404, path


async def test_every_answer_has_the_headers(browser: Browser, link: str) -> None:
    for path in (link, "/health/live", "/nowhere"):
        _, _, headers = await get(browser, path)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["server"] == "neurocards"
        assert "default-src 'none'" in headers["content-security-policy"]


async def test_the_link_is_not_logged(browser: Browser, link: str) -> None:
    with capture_logs() as logs:
        await get(browser, link)
        await eventually(lambda: logs)  # it is logged once the last byte is out
    assert [log["route"] for log in logs] == ["/files/{token}"]
    assert link.rsplit("/", 1)[1] not in repr(logs)


async def test_health_is_answered_and_metrics_are_not_for_everyone(browser: Browser) -> None:
    assert (await get(browser, "/health/live"))[0] == 200
    assert (await get(browser, "/health/ready"))[0] == 200
    assert (await get(browser, "/metrics"))[0] == 404


async def test_the_process_announces_its_address_and_stops(tmp_path: Path, database_url: str) -> None:
    service = ServiceProcess("web", tmp_path, {"DATABASE_URL": database_url, "WEB_PORT": 0})
    await asyncio.to_thread(service.start, wait_s=60)
    try:
        async with httpx.AsyncClient(verify=tls_context(), timeout=60) as http:
            reply = await http.get(service.facts["web_url"] + "/health/ready")
        assert reply.status_code == 200 and reply.json()["postgres"] == "ok"
        assert await asyncio.to_thread(service.stop) == 0
    finally:
        service.kill()


async def test_a_port_in_use_is_one_clear_line(tmp_path: Path, database_url: str, browser: Browser) -> None:
    port = browser.base.rsplit(":", 1)[1]
    service = ServiceProcess("web", tmp_path, {"DATABASE_URL": database_url, "WEB_PORT": port})
    await asyncio.to_thread(service.start, wait_s=None)
    assert service.process is not None
    assert await asyncio.to_thread(service.process.wait, 30) == 1
    assert "WEB_PORT" in service.log and "Traceback" not in service.log
    service.kill()


async def test_a_store_that_is_away_is_no_missing_file(
    browser: Browser, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first byte 503, which is asked for again; after it the connection breaks off."""
    kept = FolderBlobs.stream

    async def breaking(self: FolderBlobs, key: str, *, start: int = 0, length: int | None = None):
        async for chunk in kept(self, key, start=start, length=1000):
            yield chunk
        raise BlobStoreAwayError("s3://media does not answer")

    async def away(self: FolderBlobs, keys: object) -> None:
        raise BlobStoreAwayError("s3://media does not answer")

    monkeypatch.setattr(FolderBlobs, "stream", breaking)
    with pytest.raises(aiohttp.ClientError):
        await get(browser, link)
    monkeypatch.setattr(FolderBlobs, "sizes", away)
    status, _, headers = await get(browser, link)
    assert (status, headers["retry-after"]) == (503, "5")
