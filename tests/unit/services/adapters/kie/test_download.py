"""What is fetched, from where, and what is kept."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.adapters.kie import download
from services.adapters.kie.download import ResultFetcher
from services.adapters.kie.errors import BrokenResultError
from services.platform.blobs import BlobStore, FolderBlobs

MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(1000)
KEY = "videos/j1-1.mp4"


@pytest.fixture
async def addresses(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Host names and their addresses; others have none."""
    known = {"files.test": "93.184.216.34", "inside.test": "10.0.0.5", "v6.test": "::ffff:127.0.0.1"}

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        try:
            address = known.get(host) or socket.inet_ntoa(socket.inet_aton(host))
        except OSError:
            raise socket.gaierror(host) from None
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=False)
    return known


@pytest.fixture
async def blobs(tmp_path: Path) -> BlobStore:
    return FolderBlobs(tmp_path)


def fetcher(blobs: BlobStore, files: dict[str, Any], **more: Any) -> ResultFetcher:
    def handler(request: httpx.Request) -> httpx.Response:
        found = files.get(str(request.url), 404)
        if isinstance(found, httpx.Response | Exception):
            if isinstance(found, Exception):
                raise found
            return found
        return httpx.Response(found) if isinstance(found, int) else httpx.Response(200, content=found)

    client = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return ResultFetcher(client, blobs, more.pop("trusted", ()), **more)


async def test_a_video_is_stored(addresses: Any, blobs: BlobStore) -> None:
    stored = await fetcher(blobs, {"https://files.test/a.mp4": MP4}).fetch("https://files.test/a.mp4", KEY)
    assert await blobs.get(KEY) == MP4
    assert (stored.key, stored.size_bytes) == (KEY, len(MP4))


async def test_webm_is_a_video_too(addresses: Any, blobs: BlobStore) -> None:
    webm = b"\x1a\x45\xdf\xa3" + bytes(100)
    await fetcher(blobs, {"https://files.test/a": webm}).fetch("https://files.test/a", KEY)


@pytest.mark.parametrize(
    "body", [b"", b"<!DOCTYPE html><html>", b"\x00\x00", b"\xff\xd8\xff\xe0" + bytes(50)]
)
async def test_what_is_not_a_video_is_not_kept(addresses: Any, blobs: BlobStore, body: bytes) -> None:
    with pytest.raises(BrokenResultError, match="not a video") as caught:
        await fetcher(blobs, {"https://files.test/a": body}).fetch("https://files.test/a", KEY)
    assert not caught.value.passing
    assert await blobs.size_bytes(KEY) is None


async def test_too_much_is_not_kept(
    addresses: Any, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "VIDEO_BYTES_MAX", 500)
    with pytest.raises(BrokenResultError, match="larger"):
        await fetcher(blobs, {"https://files.test/a": MP4}).fetch("https://files.test/a", KEY)
    assert await blobs.size_bytes(KEY) is None


@pytest.mark.parametrize("trouble", [404, 503, httpx.ReadError("cut"), httpx.ReadTimeout("slow")])
async def test_trouble_that_may_pass(addresses: Any, blobs: BlobStore, trouble: Any) -> None:
    with pytest.raises(BrokenResultError) as caught:
        await fetcher(blobs, {"https://files.test/a": trouble}).fetch("https://files.test/a", KEY)
    assert caught.value.passing


@pytest.mark.parametrize(
    "url",
    [
        "https://inside.test/a",
        "http://127.0.0.1:5432/a",
        "http://169.254.169.254/latest/meta-data",
        "http://v6.test/a",
        "http://0.0.0.0/a",
        "file:///etc/passwd",
        "gopher://files.test/a",
        "https:///a",
        "https://files.test:99999/a",
        "not an address",
        "https://files.test\\@inside.test/a",
        "https://files.test/\x01",
        "",
    ],
)
async def test_nothing_of_our_own_network_is_fetched(addresses: Any, blobs: BlobStore, url: str) -> None:
    with pytest.raises(BrokenResultError) as caught:
        await fetcher(blobs, {url: MP4}).fetch(url, KEY)
    assert not caught.value.passing


async def test_a_redirect_is_checked_too(addresses: Any, blobs: BlobStore) -> None:
    start = "https://files.test/a"
    inward = httpx.Response(302, headers={"location": "http://inside.test/b"})
    with pytest.raises(BrokenResultError, match="not a public one"):
        await fetcher(blobs, {start: inward, "http://inside.test/b": MP4}).fetch(start, KEY)
    onward = httpx.Response(302, headers={"location": "/b"})
    await fetcher(blobs, {start: onward, "https://files.test/b": MP4}).fetch(start, KEY)
    loop = httpx.Response(302, headers={"location": start})
    with pytest.raises(BrokenResultError, match="redirects"):
        await fetcher(blobs, {start: loop}).fetch(start, KEY)


async def test_the_sandbox_on_this_machine_is_trusted_by_host_and_port(blobs: BlobStore) -> None:
    url = "http://127.0.0.1:8081/kie/v/t1.mp4"
    await fetcher(blobs, {url: MP4}, trusted=[("127.0.0.1", 8081)]).fetch(url, KEY)
    with pytest.raises(BrokenResultError):
        other = "http://127.0.0.1:8082/kie/v/t1.mp4"
        await fetcher(blobs, {other: MP4}, trusted=[("127.0.0.1", 8081)]).fetch(other, KEY)


async def test_a_list_of_hosts_excludes_all_others(addresses: Any, blobs: BlobStore) -> None:
    addresses["cdn.files.test"] = addresses["myfiles.test"] = "93.184.216.34"
    for host, allowed in [("files.test", True), ("cdn.files.test", True), ("myfiles.test", False)]:
        url = f"https://{host}/a"
        if allowed:
            await fetcher(blobs, {url: MP4}, only=["files.test"]).fetch(url, KEY)
        else:
            with pytest.raises(BrokenResultError, match="KIE_RESULT_HOSTS"):
                await fetcher(blobs, {url: MP4}, only=["files.test"]).fetch(url, KEY)
