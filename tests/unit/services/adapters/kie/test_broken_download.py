"""A transfer that breaks goes on, whatever the server can; what has changed meanwhile is not glued on."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.adapters.kie import download
from services.adapters.kie.download import ResultFetcher
from services.adapters.kie.errors import BrokenResultError
from services.adapters.kie.public_addresses import origin_of, public_client
from services.platform.blobs import FolderBlobs

MP4 = b"\x00\x00\x00\x18ftypmp42" + random.Random(1).randbytes(900_000)
KEY = "videos/j1-1.mp4"


class FileServer:
    """Gives `body`, of each answer no more than the next of `cuts`; then the connection is gone."""

    def __init__(self) -> None:
        self.body = MP4
        self.cuts: list[int] = []
        self.ranges = True
        self.headers = {"ETag": '"v1"'}
        self.length: int | None = None
        self.asked: list[tuple[str | None, str | None]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        wanted, body, headers = request.headers.get("Range"), self.body, dict(self.headers)
        self.asked.append((wanted, request.headers.get("If-Range")))
        assert request.headers["Accept-Encoding"] == "identity"
        same = request.headers.get("If-Range", headers.get("ETag")) == headers.get("ETag")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges and same else 0
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        if start:
            response.headers.setdefault("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        response.content_length = self.length or len(body) - start
        await response.prepare(request)
        cut = self.cuts.pop(0) if self.cuts else len(body)
        await response.write(body[start : start + cut])
        if start + cut < len(body) and request.transport is not None:
            request.transport.close()
        return response


@pytest.fixture
async def files() -> FileServer:
    return FileServer()


@pytest.fixture
async def url(files: FileServer) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/v.mp4", files.answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/v.mp4"))


@pytest.fixture
async def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path)


@pytest.fixture
async def fetcher(
    url: str, blobs: FolderBlobs, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ResultFetcher]:
    monkeypatch.setattr(download, "_PAUSE_S", 0.0)
    origin = origin_of(url)
    assert origin is not None
    fetcher = ResultFetcher(public_client([origin], use_proxies=False), blobs, [origin])
    yield fetcher
    await fetcher.close()


async def test_the_rest_is_asked_for(
    files: FileServer, url: str, blobs: FolderBlobs, fetcher: ResultFetcher
) -> None:
    files.cuts = [5, 300_000, 1]
    stored = await fetcher.fetch(url, KEY)
    assert await blobs.get(KEY) == MP4 and stored.size_bytes == len(MP4)
    starts = [int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0 for wanted, _ in files.asked]
    assert starts == [0, 5, 300_005, 300_006]
    assert {version for _, version in files.asked[1:]} == {'"v1"'}


async def test_a_server_without_ranges_is_read_from_the_start(
    files: FileServer, url: str, blobs: FolderBlobs, fetcher: ResultFetcher
) -> None:
    files.ranges, files.cuts = False, [300_000, 500_000]
    await fetcher.fetch(url, KEY)
    assert await blobs.get(KEY) == MP4 and len(files.asked) == 3


@pytest.mark.parametrize("ranges", [True, False])
async def test_another_version_is_not_glued_on(
    files: FileServer, url: str, blobs: FolderBlobs, fetcher: ResultFetcher, ranges: bool
) -> None:
    files.ranges, files.cuts = ranges, [300_000]

    async def change() -> None:
        while not files.asked:
            await asyncio.sleep(0)
        files.body = MP4[:100_000] + bytes(800_012)
        files.headers = {"ETag": '"v2"'}

    changing = asyncio.create_task(change())
    with pytest.raises(BrokenResultError, match="changed") as caught:
        await fetcher.fetch(url, KEY)
    await changing
    assert caught.value.passing  # a fresh start may get the new one whole
    assert await blobs.size_bytes(KEY) is None


async def test_another_part_than_was_asked_for(
    files: FileServer, url: str, blobs: FolderBlobs, fetcher: ResultFetcher
) -> None:
    files.cuts = [300_000]
    files.headers["Content-Range"] = f"bytes 7-{len(MP4) - 1}/{len(MP4)}"
    with pytest.raises(BrokenResultError, match="another part"):
        await fetcher.fetch(url, KEY)
    assert await blobs.size_bytes(KEY) is None


async def test_it_is_given_up_in_the_end(
    files: FileServer, url: str, blobs: FolderBlobs, fetcher: ResultFetcher
) -> None:
    files.cuts = [300_000] + [0] * 50
    with pytest.raises(BrokenResultError) as caught:
        await fetcher.fetch(url, KEY)
    assert caught.value.passing and len(files.asked) == 1 + download.BREAKS_MAX
    assert await blobs.size_bytes(KEY) is None


async def test_a_size_that_is_announced_is_believed_before_anything_is_read(
    files: FileServer, url: str, fetcher: ResultFetcher
) -> None:
    files.length, files.cuts = download.VIDEO_BYTES_MAX + 1, [0]
    with pytest.raises(BrokenResultError, match="larger") as caught:
        await fetcher.fetch(url, KEY)
    assert not caught.value.passing and len(files.asked) == 1


async def test_a_packed_file_is_not_taken(files: FileServer, url: str, fetcher: ResultFetcher) -> None:
    files.headers["Content-Encoding"] = "gzip"
    with pytest.raises(BrokenResultError, match="packed"):
        await fetcher.fetch(url, KEY)


async def test_what_came_instead_is_in_the_failure(
    files: FileServer, url: str, fetcher: ResultFetcher
) -> None:
    files.body = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"
    with pytest.raises(BrokenResultError) as caught:
        await fetcher.fetch(url, KEY)
    assert caught.value.failure == msgspec.structs.replace(caught.value.failure, raw="Just a moment...")
