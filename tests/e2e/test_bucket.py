"""The whole system with photos and videos in a bucket, which dies while orders run: `make s3`."""

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from services.platform.blob_stores import open_blobs
from services.platform.blobs import BlobStore
from services.platform.file_links import FileLinks
from services.platform.settings import load_settings
from services.rehearsal.chat_client import open_http
from services.rehearsal.log_watch import LogWatch
from services.rehearsal.system import Stack
from tests.support.playing import CREDITS, DEADLINE_S, PLANTED, Play
from tests.support.s3_servers import KEY, READER, S3Server, missing, running
from tests.support.servers import short_folder
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.s3,
    pytest.mark.skipif(bool(missing()), reason=missing() or ""),
    pytest.mark.timeout(600),
]


@pytest.fixture
def server() -> Iterator[S3Server]:
    with short_folder() as folder, running(folder) as server:
        yield server


@pytest.fixture
def bucket(server: S3Server) -> BlobStore:
    return open_blobs(load_settings(blobs_url=server.url("media", "cards"), blobs_key=KEY))


@pytest.fixture
async def play(server: S3Server) -> AsyncIterator[Play]:
    with short_folder() as folder:
        settings: dict[str, Any] = {
            "BLOBS_URL": server.url("media", "cards"), "BLOBS_KEY": KEY, "BLOBS_READ_KEY": READER,
            "FREE_CREDITS": CREDITS, "JOB_DEADLINE_SECONDS": 2 * DEADLINE_S, **PLANTED,
        }  # fmt: skip
        stack = Stack(folder, **settings)
        await stack.start()
        try:
            async with open_http(60) as http, LogWatch(stack.settings) as log_watch:
                play = Play(stack, log_watch, http)
                await play.sandbox.change(small_videos=True)
                yield play
        finally:
            await stack.stop()


async def test_orders_go_on_when_the_bucket_is_back(play: Play, server: S3Server, bucket: BlobStore) -> None:
    seller, other = play.seller(), play.seller()
    assert await play.settled(seller, await play.order(seller)) == 1
    stored = [found.key async for found in bucket.all()]
    assert {key.partition("/")[0] for key in stored} == {"photos", "videos"}
    assert not (play.stack.folder / "data/blobs").exists(), "nothing lies in a folder beside it"

    order = await play.order(other)
    job = await play.charged(other)

    async def rendering() -> bool:
        return "SubmissionAccepted" in {row.type for row in await play.log_watch.story(job)}

    await eventually(rendering, interval_s=0.05, what="the video to be made")
    server.kill()

    def waited_for() -> bool:
        return "video_not_stored" in play.stack.log_tail("worker", 400)

    await eventually(waited_for, what="the worker to find the bucket away")
    server.start()
    assert await play.settled(other, order) == 1
    await play.everything_holds()

    (video,) = [found async for found in bucket.all() if job in found.key]
    web = load_settings(
        callback_secret=PLANTED["CALLBACK_SECRET"], public_url=str(play.stack.facts("web")["web_url"])
    )
    link = FileLinks(web).url(video.key, int(time.time()) + 60)
    async with httpx.AsyncClient() as http:
        part = await http.get(link, headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
