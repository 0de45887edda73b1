"""Full disks: of Redis, which then refuses every write, and of photos and videos. No job is lost."""

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from events.job import SubmissionAccepted
from services.platform.outage_log import REDIS
from tests.support.small_disk import small_disk, small_redis
from tests.support.waiting import eventually
from tests.support.worker_fixture import WorkerFixture


async def test_a_worker_outlasts_a_redis_that_refuses_writes(
    workshop: WorkerFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.platform.redis.AWAY_S", 0.05)
    monkeypatch.setattr(REDIS, "_waiting", set())  # of tests before this one
    async with small_redis() as small:
        workshop.use_redis(small.url)
        workshop.sandbox.turn(render_seconds=1.0)
        await workshop.worker(lease_seconds=30.0)  # so that the other cannot take its seat meanwhile
        (job,) = await workshop.order()
        await workshop.come_to(job, SubmissionAccepted)
        with capture_logs() as logs:

            def told(event: str) -> list[str]:
                return [line["what"] for line in logs if line["event"] == event]

            await small.refuse_writes()
            assert (await workshop.ended(job)).outcome == "succeeded"
            late = await workshop.worker()  # waits for its seat
            await eventually(lambda: REDIS._times > 20, what="everybody to try again and again")
            assert not late.task.done() and late.worker.status()["seat"] == ""
            assert told("trouble_met") == ["Redis"] and told("trouble_over") == []
            await small.make_room()
            (another,) = await workshop.order()
            assert (await workshop.ended(another)).outcome == "succeeded"
            await eventually(lambda: late.worker.status()["seat"])
            await eventually(lambda: told("trouble_over"))
            assert told("trouble_met") == ["Redis"]
            noisy = [line["event"] for line in logs if line["log_level"] in ("warning", "error")]
            assert noisy == ["trouble_met"]
        assert len(await workshop.tasks()) == 2
        await workshop.audit()
        await workshop.nothing_pending()
        await workshop.close()


def failures(logs: list[Any]) -> list[str]:
    """Why a video was not stored, once it was tried twice."""
    found = [line["error"] for line in logs if line["event"] == "video_not_stored"]
    return found if len(found) > 1 else []


@pytest.mark.parametrize("in_time", [True, False], ids=["room in time", "room too late"])
async def test_a_video_for_which_there_is_no_room_is_fetched_again_or_refunded(
    workshop: WorkerFixture, tmp_path: Path, in_time: bool
) -> None:
    workshop.sandbox.turn(render_seconds=1.0)
    with small_disk(tmp_path / "blobs", 4) as disk, capture_logs() as logs:
        (job,) = await workshop.order(deadline_s=300 if in_time else 10)
        running = await workshop.worker()
        await workshop.come_to(job, SubmissionAccepted)
        disk.fill()
        in_vain = await eventually(lambda: failures(logs), what="two fetches in vain")
        assert all("No space left on device" in words for words in in_vain)
        assert not list(disk.folder.glob(".partial/.*")), "half a video is none"
        if in_time:
            disk.free()
            assert (await workshop.ended(job)).outcome == "succeeded"
            (video,) = disk.folder.glob("videos/*")
            assert video.read_bytes()[4:8] == b"ftyp"
        else:
            assert (await workshop.ended(job)).outcome == "failed"
            assert not list(disk.folder.glob("videos/*"))
        await eventually(lambda: not running.worker.status()["jobs"], what="the worker lets it go")
        assert not any("exc_info" in line for line in logs)
    assert len(await workshop.tasks()) == 1
    await workshop.audit()
