"""The way of a task: accepted, visible in stages, a real video at the end, none of it lost by a restart."""

import io
import json
from pathlib import Path
from typing import Any

import av
import pytest

from tests.support.outside import ManualClock, Outside, outside, photo
from tests.unit.services.sandbox.kie.conftest import MODEL, MODULES, ask, create, finished, record, upload


async def fetch(sandbox: Outside, url: str, **headers: str) -> tuple[int, bytes]:
    async with sandbox.http.get(url, headers=headers) as reply:
        return reply.status, await reply.read()


def result_url(data: dict[str, Any]) -> str:
    url: str = json.loads(data["resultJson"])["resultUrls"][0]
    return url


async def test_a_task_passes_through_its_stages_and_ends_in_a_playable_video(sandbox):
    sandbox.turn(small_videos=False)
    task_id = await create(sandbox, callback="http://127.0.0.1:9/never")
    seen = [(await record(sandbox, task_id))["state"]]
    for step_s in (1.5, 2, 3):
        sandbox.clock.advance(step_s)
        seen.append((await record(sandbox, task_id))["state"])
    assert seen == ["waiting", "queuing", "generating", "generating"]

    sandbox.clock.advance(4)
    data = await finished(sandbox, task_id)
    assert data["state"] == "success"
    assert data["completeTime"] - data["createTime"] == pytest.approx(data["costTime"])
    assert data["creditsConsumed"] == 100
    assert json.loads(data["param"])["callBackUrl"] == "http://127.0.0.1:9/never"

    status, video = await fetch(sandbox, result_url(data))
    assert status == 200
    with av.open(io.BytesIO(video), "r") as film:
        picture = film.streams.video[0]
        assert (picture.codec_context.name, picture.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (picture.width, picture.height) == (480, 854)
        assert 4 <= (film.duration or 0) / 1e6 <= 5
    assert 0 < video.find(b"moov") < video.find(b"mdat"), (
        "browsers start playing only with the index in front"
    )


async def test_the_photo_itself_moves(sandbox):
    sandbox.turn(small_videos=False)
    task_id = await create(sandbox, first_frame_url=await upload(sandbox, photo(600, 600)))
    sandbox.clock.advance(10)
    _, video = await fetch(sandbox, result_url(await finished(sandbox, task_id)))
    with av.open(io.BytesIO(video), "r") as film:
        frames = [frame.to_image() for frame in film.decode(video=0)]
    reds = [_share_of_red(frame) for frame in (frames[0], frames[len(frames) // 2], frames[-1])]
    assert min(reds) > 0.02, "the photo's red disc is in the picture all the time"
    assert reds[-1] != pytest.approx(reds[0], rel=0.05), "and its size changes as the camera closes in"


async def test_ranges_of_the_video_are_served(sandbox):
    task_id = await create(sandbox)
    sandbox.clock.advance(10)
    url = result_url(await finished(sandbox, task_id))
    _, whole = await fetch(sandbox, url)
    assert await fetch(sandbox, url, Range="bytes=10-19") == (206, whole[10:20])
    assert await fetch(sandbox, url, Range="bytes=-5") == (206, whole[-5:])
    assert (await fetch(sandbox, url, Range=f"bytes={len(whole)}-"))[0] == 416


async def test_results_expire(sandbox):
    task_id = await create(sandbox)
    sandbox.clock.advance(10)
    url = result_url(await finished(sandbox, task_id))
    sandbox.clock.advance(86_401)
    assert (await fetch(sandbox, url))[0] == 404


async def test_a_restart_loses_no_task_and_a_finished_one_stays_as_it_was(tmp_path: Path):
    clock = ManualClock()
    async with outside(MODULES, tmp_path, clock) as sandbox:
        sandbox.turn(render_seconds=10, small_videos=True)
        done, half = await create(sandbox), ""
        clock.advance(10)
        before = await finished(sandbox, done)
        half = await create(sandbox, prompt="another")
    clock.advance(20)
    async with outside(MODULES, tmp_path, clock) as sandbox:
        after = await record(sandbox, done)
        assert {**after, "resultJson": ""} == {**before, "resultJson": ""}
        assert (await fetch(sandbox, result_url(after)))[0] == 200, "with the address of the new process"
        assert (await finished(sandbox, half))["state"] == "success"
        assert [task["taskId"] for task in (await sandbox.get("/__sandbox/book"))["kie"]["tasks"]] == [
            done,
            half,
        ]


async def test_without_rendering_time_a_task_succeeds_at_once_with_one_small_video_per_photo(sandbox):
    sandbox.turn(render_seconds=0, rate_limit=0)
    first = await finished(sandbox, await create(sandbox))
    ids = [await create(sandbox) for _ in range(3)]
    states = [(await record(sandbox, task_id))["state"] for task_id in ids]
    assert states == ["success"] * 3, "the video was there already"
    _, video = await fetch(sandbox, result_url(first))
    assert len(video) < 100_000


async def test_a_prompt_without_a_photo_gives_a_video_too(sandbox):
    body = {"model": MODEL, "input": {"prompt": "a mug on a table"}}
    answer = await sandbox.post("/kie/api/v1/jobs/createTask", body)
    sandbox.clock.advance(10)
    assert (await finished(sandbox, answer["data"]["taskId"]))["state"] == "success"


async def test_unknown_tasks_foreign_keys_and_missing_ids(sandbox):
    task_id = await create(sandbox, key="one")
    path = "/kie/api/v1/jobs/recordInfo"
    assert await sandbox.get(path, "one", taskId="nope") == {
        "code": 422,
        "msg": "recordInfo is null",
        "data": None,
    }
    assert (await sandbox.get(path, "two", taskId=task_id))["code"] == 422
    assert await sandbox.get(path, "one") == {"code": 400, "msg": "taskId parameter is required"}
    assert await sandbox.get(path, "", taskId=task_id) == {"code": 401, "msg": "Unauthorized"}


async def test_the_balance_pays_for_tasks_and_failed_ones_get_it_back(sandbox):
    sandbox.turn(balance=250)
    sandbox.fault("kie", "task", "policy")
    failed = await create(sandbox)
    assert (await sandbox.get("/kie/api/v1/chat/credit"))["data"] == 150
    sandbox.clock.advance(10)
    assert (await finished(sandbox, failed))["creditsConsumed"] == 0
    assert (await sandbox.get("/kie/api/v1/chat/credit")) == {"code": 200, "msg": "success", "data": 250}
    await create(sandbox)
    await create(sandbox)
    refused = await ask(sandbox)
    assert refused["code"] == 402
    assert refused["msg"].startswith("Credits insufficient : Your current balance isn't enough")


async def test_wrong_paths_are_answered_by_the_framework_not_by_the_envelope(sandbox):
    answer = await sandbox.post("/kie/api/v1/jobs/create", {})
    assert (answer["status"], answer["path"]) == (404, "/api/v1/jobs/create")
    assert "code" not in answer


def _share_of_red(picture: Any) -> float:
    pixels = list(picture.resize((60, 106)).convert("RGB").tobytes())
    triples = zip(pixels[::3], pixels[1::3], pixels[2::3], strict=True)
    return float(sum(r > 150 and g < 90 and b < 90 for r, g, b in triples)) / (60 * 106)
