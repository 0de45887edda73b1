"""What the blob store promises, kept by a folder and by a bucket alike."""

import asyncio
import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from services.platform.blob_stores import MovingBlobs, open_blobs
from services.platform.blobs import (
    BlobConflictError,
    BlobError,
    BlobMissingError,
    BlobStore,
    BlobStoreAwayError,
    BlobTooLargeError,
    FolderBlobs,
    StoredBlob,
    one_chunk,
)
from services.platform.settings import load_settings
from tests.support.s3_servers import KEY, READER, S3Server, missing, running
from tests.support.services import clean_environment
from tests.support.waiting import eventually

S3 = [
    pytest.param(kind, marks=[pytest.mark.s3, pytest.mark.skipif(bool(missing()), reason=missing() or "")])
    for kind in ("seaweedfs", "moto")
]
VIDEO_BYTES_MAX = 300 * 1024 * 1024
MOST = 1000


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], S3Server]]:
    running: dict[str, S3Server] = {}

    def started(kind: str) -> S3Server:
        if kind not in running:
            running[kind] = S3Server(kind, tmp_path_factory.mktemp(kind))
            running[kind].start()
            running[kind].make_bucket("media")
        return running[kind]

    yield started
    for server in running.values():
        server.kill()


@pytest.fixture(params=["folder", "moving", *S3])
def blobs(request: pytest.FixtureRequest, tmp_path: Path, servers: Callable[[str], S3Server]) -> BlobStore:
    if request.param == "folder":
        return open_blobs(load_settings(data_dir=tmp_path))
    if request.param == "moving":
        return MovingBlobs(FolderBlobs(tmp_path / "new"), FolderBlobs(tmp_path / "old"))
    url = servers(request.param).url("media", tmp_path.name)
    return open_blobs(load_settings(data_dir=tmp_path, blobs_url=url, blobs_key=KEY))


async def put(blobs: BlobStore, key: str, data: bytes) -> StoredBlob:
    return await blobs.put(key, one_chunk(data), size_bytes_max=MOST)


async def random_chunks(size_bytes: int, *, chunk: int = 700_001) -> AsyncIterator[bytes]:
    block = os.urandom(chunk)
    while size_bytes > 0:
        yield block[:size_bytes]
        size_bytes -= chunk


async def keys(blobs: BlobStore) -> list[str]:
    return sorted([found.key async for found in blobs.all()])


async def test_what_is_stored_comes_back_whole_in_parts_and_in_lists(blobs: BlobStore) -> None:
    stored = await put(blobs, "photos/a.jpg", b"0123456789")
    assert stored == StoredBlob("photos/a.jpg", hashlib.sha256(b"0123456789").hexdigest(), 10)
    assert await blobs.get("photos/a.jpg") == b"0123456789"
    assert await blobs.stored("photos/a.jpg") == stored
    for start, length, part in (
        (0, None, b"0123456789"), (3, None, b"3456789"), (3, 4, b"3456"), (8, 50, b"89"), (10, None, b""),
        (99, 5, b""), (0, 0, b""),
    ):  # fmt: skip
        got = [chunk async for chunk in blobs.stream("photos/a.jpg", start=start, length=length)]
        assert b"".join(got) == part, (start, length)
    await put(blobs, "videos/b.mp4", b"")
    assert await blobs.get("videos/b.mp4") == b""
    assert await blobs.sizes(["videos/b.mp4", "photos/none.jpg", "photos/a.jpg"]) == [0, None, 10]
    found = {facts.key: facts async for facts in blobs.all()}
    assert sorted(found) == ["photos/a.jpg", "videos/b.mp4"]
    assert found["photos/a.jpg"].size_bytes == 10 and found["photos/a.jpg"].modified_ns > 0


async def test_a_key_is_written_once(blobs: BlobStore) -> None:
    """A second worker with the same video is right; one with another does not change what the log names."""
    first = await put(blobs, "videos/j-1.mp4", b"one")
    assert await put(blobs, "videos/j-1.mp4", b"one") == first
    with pytest.raises(BlobConflictError, match="holds other bytes"):
        await put(blobs, "videos/j-1.mp4", b"two")
    assert await blobs.get("videos/j-1.mp4") == b"one"
    attempts = [put(blobs, "videos/j-2.mp4", bytes([number]) * 10) for number in range(12)]
    ended = await asyncio.gather(*attempts, return_exceptions=True)
    (winner,) = [stored for stored in ended if isinstance(stored, StoredBlob)]
    assert sum(isinstance(error, BlobConflictError) for error in ended) == 11
    assert await blobs.sha256("videos/j-2.mp4") == winner.sha256
    await blobs.delete("videos/j-2.mp4")
    assert (await put(blobs, "videos/j-2.mp4", b"again")).size_bytes == 5


async def test_what_is_missing_is_missing_in_every_way(blobs: BlobStore) -> None:
    with pytest.raises(BlobMissingError, match="no blob photos/none"):
        await blobs.get("photos/none.jpg")
    with pytest.raises(BlobMissingError):
        _ = [chunk async for chunk in blobs.stream("photos/none.jpg", start=3)]
    assert await blobs.size_bytes("photos/none.jpg") is None
    assert await blobs.sha256("photos/none.jpg") is None
    assert await blobs.stored("photos/none.jpg") is None
    await blobs.delete("photos/none.jpg")


@pytest.mark.parametrize(
    "key",
    ["../a", "photos/../../a", "/etc/passwd", "", "photos//a", ".partial/a", "a/.b", "A/b", "a b", "a" * 201],
)  # fmt: skip
async def test_a_hostile_key_reaches_nothing(blobs: BlobStore, key: str) -> None:
    with pytest.raises(BlobError, match="is not a blob key"):
        await put(blobs, key, b"x")
    for call in (blobs.get(key), blobs.delete(key)):
        with pytest.raises(BlobError, match="is not a blob key"):
            await call
    assert await keys(blobs) == []


async def test_a_large_video_is_stored_in_parts_once(blobs: BlobStore) -> None:
    size = 21_000_003
    stored = await blobs.put("videos/big.mp4", random_chunks(size), size_bytes_max=VIDEO_BYTES_MAX)
    assert (stored.size_bytes, await blobs.sha256("videos/big.mp4")) == (size, stored.sha256)
    with pytest.raises(BlobConflictError):
        await blobs.put("videos/big.mp4", random_chunks(size), size_bytes_max=VIDEO_BYTES_MAX)
    assert await blobs.stored("videos/big.mp4") == stored
    got = b"".join([chunk async for chunk in blobs.stream("videos/big.mp4", start=16_000_000, length=1_000)])
    assert len(got) == 1_000
    await blobs.delete_partial(0)
    assert await keys(blobs) == ["videos/big.mp4"]


@pytest.mark.slow
async def test_a_video_of_the_largest_size(blobs: BlobStore) -> None:
    stored = await blobs.put(
        "videos/most.mp4", random_chunks(VIDEO_BYTES_MAX, chunk=1 << 20), size_bytes_max=VIDEO_BYTES_MAX
    )
    assert await blobs.size_bytes("videos/most.mp4") == stored.size_bytes == VIDEO_BYTES_MAX
    await blobs.delete("videos/most.mp4")


@pytest.mark.parametrize("size", [900, 20_000_000])
@pytest.mark.parametrize("how", ["breaks", "too large", "cancelled"])
async def test_half_an_upload_is_never_seen(blobs: BlobStore, how: str, size: int) -> None:
    gone_on, begun = asyncio.Event(), asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        async for chunk in random_chunks(size):
            yield chunk
        begun.set()
        if how == "breaks":
            raise ConnectionResetError
        if how == "cancelled":
            await gone_on.wait()

    most = size - 1 if how == "too large" else size
    putting = asyncio.ensure_future(blobs.put("videos/half.mp4", chunks(), size_bytes_max=most))
    if how == "cancelled":
        await begun.wait()
        assert await blobs.size_bytes("videos/half.mp4") is None
        putting.cancel()
    (error,) = await asyncio.gather(putting, return_exceptions=True)
    wanted = {
        "breaks": ConnectionResetError,
        "too large": BlobTooLargeError,
        "cancelled": asyncio.CancelledError,
    }
    assert isinstance(error, wanted[how])
    assert await blobs.size_bytes("videos/half.mp4") is None and await keys(blobs) == []
    assert (await put(blobs, "videos/half.mp4", b"whole")).size_bytes == 5


_WRITER = """
import asyncio, sys
from services.platform.blob_stores import open_blobs
from services.platform.settings import load_settings

async def chunks():
    for _ in range(30):
        yield bytes(1_000_000)
    print("begun", flush=True)
    await asyncio.Event().wait()

asyncio.run(open_blobs(load_settings()).put("videos/killed.mp4", chunks(), size_bytes_max=10**9))
"""


async def test_a_killed_writer_leaves_nothing_to_be_seen_and_retention_clears_up(
    request: pytest.FixtureRequest, blobs: BlobStore, tmp_path: Path, servers: Callable[[str], S3Server]
) -> None:
    kind = request.node.callspec.params["blobs"]
    given = {"NEUROCARDS_DATA_DIR": str(tmp_path)}
    if kind == "moving":
        pytest.skip("it writes into one of the others")
    if kind != "folder":
        given |= {"BLOBS_URL": servers(kind).url("media", tmp_path.name), "BLOBS_KEY": KEY}
    writer = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", _WRITER], env=clean_environment() | given, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout and writer.stdout.readline() == "begun\n"
    writer.kill()
    writer.wait()
    writer.stdout.close()
    assert await keys(blobs) == [] and await blobs.size_bytes("videos/killed.mp4") is None
    await blobs.delete_partial(3600)
    assert (await put(blobs, "videos/killed.mp4", b"whole")).size_bytes == 5
    await blobs.delete("videos/killed.mp4")
    await blobs.delete_partial(0)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.fixture
def seaweed(tmp_path: Path) -> Iterator[S3Server]:
    with running(tmp_path) as server:
        yield server


def at(server: S3Server, key: str = KEY, bucket: str = "media") -> BlobStore:
    return open_blobs(load_settings(blobs_url=server.url(bucket), blobs_key=key))


@pytest.mark.s3
@pytest.mark.skipif(bool(missing()), reason=missing() or "")
async def test_a_server_that_dies_in_the_middle_of_an_upload(seaweed: S3Server) -> None:
    blobs = at(seaweed)
    await put(blobs, "videos/before.mp4", b"before")

    async def chunks() -> AsyncIterator[bytes]:
        async for chunk in random_chunks(12_000_000):
            yield chunk
        seaweed.kill()
        async for chunk in random_chunks(12_000_000):
            yield chunk

    with pytest.raises(BlobStoreAwayError, match=r"s3://media does not answer"):
        await blobs.put("videos/half.mp4", chunks(), size_bytes_max=VIDEO_BYTES_MAX)
    with pytest.raises(BlobStoreAwayError):
        await blobs.size_bytes("videos/before.mp4")
    seaweed.start()

    async def is_back() -> bool:  # it answers before it has found its volumes again
        with contextlib.suppress(BlobStoreAwayError):
            return await blobs.get("videos/before.mp4") == b"before"
        return False

    await eventually(is_back)
    assert await keys(blobs) == ["videos/before.mp4"]
    again = await blobs.put("videos/half.mp4", random_chunks(24_000_000), size_bytes_max=VIDEO_BYTES_MAX)
    assert await blobs.stored("videos/half.mp4") == again


@pytest.mark.s3
@pytest.mark.skipif(bool(missing()), reason=missing() or "")
async def test_a_wrong_key_bucket_and_right_are_named(seaweed: S3Server) -> None:
    """Never taken for "there is no such photo", for which a job would fail."""
    await put(at(seaweed), "photos/a.jpg", b"photo")
    for key in ("WRITER:wrong", "NOBODY:writer-secret"):
        for call in (at(seaweed, key).get("photos/a.jpg"), at(seaweed, key).size_bytes("photos/a.jpg")):
            with pytest.raises(BlobStoreAwayError, match=r"refuses .*BLOBS_KEY") as caught:
                await call
            assert "writer-secret" not in str(caught.value) and "wrong" not in str(caught.value)
    reader = at(seaweed, READER)
    assert await reader.get("photos/a.jpg") == b"photo"
    for change in (put(reader, "photos/b.jpg", b"x"), reader.delete("photos/a.jpg")):
        with pytest.raises(BlobStoreAwayError, match=r"AccessDenied.*may do this"):
            await change
    nowhere = at(seaweed, bucket="nowhere")
    for call in (nowhere.size_bytes("photos/a.jpg"), nowhere.get("photos/a.jpg")):
        with pytest.raises(BlobStoreAwayError, match=r"no such bucket.*BLOBS_URL"):
            await call


async def test_a_server_that_is_away_is_trouble_that_passes() -> None:
    blobs = open_blobs(load_settings(blobs_url="s3://media?endpoint=http://127.0.0.1:1", blobs_key="ID:KEY"))
    with pytest.raises(BlobStoreAwayError, match=r"s3://media does not answer as it should") as caught:
        await blobs.get("photos/a.jpg")
    assert BlobError not in type(caught.value).__mro__, "it would be taken for a photo that is missing"


async def test_a_call_is_tried_again_while_the_server_comes_back(tmp_path: Path) -> None:
    """Two connections are cut and one answers 503 before one is well."""
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        if asked == 3:
            writer.write(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        elif asked > 3:
            writer.write(
                b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/5\r\n"
                b'Last-Modified: Tue, 01 Dec 2026 10:00:00 GMT\r\nETag: "e"\r\nConnection: close\r\n\r\nphoto'
            )
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"s3://media?endpoint=http://127.0.0.1:{port}"
        assert (
            await open_blobs(load_settings(blobs_url=url, blobs_key="ID:KEY")).get("photos/a.jpg") == b"photo"
        )
    assert asked == 4


def test_a_folder_loads_no_client_of_s3(tmp_path: Path) -> None:
    program = (
        "import sys; from services.platform.blob_stores import open_blobs;"
        "from services.platform.settings import load_settings;"
        "open_blobs(load_settings()); print('obstore' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=clean_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


async def test_a_file_system_without_links_keeps_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError("this file system has no links")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    blobs = FolderBlobs(tmp_path)
    await put(blobs, "videos/a.mp4", b"one")
    with pytest.raises(BlobConflictError):
        await put(blobs, "videos/a.mp4", b"two")
    assert await blobs.get("videos/a.mp4") == b"one"
