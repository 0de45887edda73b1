"""A download that breaks off is not kept, and may be asked for anew; what is no video is told."""

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
from services.platform.blobs import BlobStore, FolderBlobs

MP4 = b"\x00\x00\x00\x18ftypmp42" + random.Random(1).randbytes(900_000)
KEY = "videos/j1-1.mp4"


class FileServer:
    """Gives `body`, of each answer no more than the next of `cuts`; then the connection is gone."""

    def __init__(self) -> None:
        self.body = MP4
        self.cuts: list[int] = []
        self.headers: dict[str, str] = {}
        self.length: int | None = None
        self.asked = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        assert request.headers["Accept-Encoding"] == "identity"
        response = web.StreamResponse(headers=self.headers)
        response.content_length = self.length or len(self.body)
        await response.prepare(request)
        cut = self.cuts.pop(0) if self.cuts else len(self.body)
        await response.write(self.body[:cut])
        if cut < len(self.body) and request.transport is not None:
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
async def blobs(tmp_path: Path) -> BlobStore:
    return FolderBlobs(tmp_path)


@pytest.fixture
async def fetcher(url: str, blobs: BlobStore) -> AsyncIterator[ResultFetcher]:
    origin = origin_of(url)
    assert origin is not None
    fetcher = ResultFetcher(public_client([origin], use_proxies=False), blobs, [origin])
    yield fetcher
    await fetcher.close()


@pytest.mark.parametrize("cut", [0, 5, 300_000])
async def test_one_that_breaks_off_is_not_kept_and_may_be_asked_for_anew(
    files: FileServer, url: str, blobs: BlobStore, fetcher: ResultFetcher, cut: int
) -> None:
    files.cuts = [cut]
    with pytest.raises(BrokenResultError) as caught:
        await fetcher.fetch(url, KEY)
    assert caught.value.passing and files.asked == 1
    assert await blobs.size_bytes(KEY) is None
    stored = await fetcher.fetch(url, KEY)
    assert await blobs.get(KEY) == MP4 and stored.size_bytes == len(MP4)


async def test_a_size_that_is_announced_is_believed_before_anything_is_read(
    files: FileServer, url: str, fetcher: ResultFetcher
) -> None:
    files.length, files.cuts = download.VIDEO_BYTES_MAX + 1, [0]
    with pytest.raises(BrokenResultError, match="larger") as caught:
        await fetcher.fetch(url, KEY)
    assert not caught.value.passing and files.asked == 1


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
