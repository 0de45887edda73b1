"""A sandbox of KIE alone, with the control API, on a clock that moves when told."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from services.sandbox import control, kie
from tests.support.outside import KEY, Listener, Outside, listening, outside, photo
from tests.support.waiting import eventually

MODULES = {"/kie": kie.routes, "/__sandbox": control.routes}
MODEL = "bytedance/seedance-2-fast"


@pytest.fixture
async def sandbox() -> AsyncIterator[Outside]:
    async with outside(MODULES) as running:
        running.turn(render_seconds=10, small_videos=True)
        yield running


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async with listening() as hook:
        yield hook


async def upload(sandbox: Outside, data: bytes | None = None, name: str = "a.jpg", key: str = KEY) -> str:
    """Upload a photo and return its URL."""
    answer = await send_file(sandbox, data or photo(), key, uploadPath="images", fileName=name)
    assert answer["success"] is True, answer
    url: str = answer["data"]["downloadUrl"]
    return url


async def send_file(sandbox: Outside, data: bytes | None, key: str = KEY, **fields: str) -> Any:
    """The upload endpoint's answer to a form."""
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, value)
    if data is not None:
        form.add_field("file", data, filename="a.jpg", content_type="image/jpeg")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = f"{sandbox.url}/kie/api/file-stream-upload"
    async with sandbox.http.post(url, data=form, headers=headers) as reply:
        return await reply.json(content_type=None)


async def ask(sandbox: Outside, key: str = KEY, callback: str | None = None, **fields: Any) -> Any:
    """createTask with a fresh upload; the whole envelope."""
    given = {"prompt": "a mug", "first_frame_url": await upload(sandbox, key=key), "aspect_ratio": "9:16"}
    body = {"model": MODEL, "input": given | fields}
    return await sandbox.post("/kie/api/v1/jobs/createTask", body | _callback(callback), key)


async def create(sandbox: Outside, key: str = KEY, callback: str | None = None, **fields: Any) -> str:
    """createTask that must be accepted; the task's id."""
    answer = await ask(sandbox, key, callback, **fields)
    assert answer["code"] == 200, answer
    task_id: str = answer["data"]["taskId"]
    return task_id


async def record(sandbox: Outside, task_id: str, key: str = KEY) -> Any:
    """The `data` of recordInfo."""
    answer = await sandbox.get("/kie/api/v1/jobs/recordInfo", key, taskId=task_id)
    assert answer["code"] == 200, answer
    return answer["data"]


async def finished(sandbox: Outside, task_id: str, key: str = KEY) -> Any:
    """The record once the task is done, the clock having been moved far enough."""

    async def done() -> Any:
        data = await record(sandbox, task_id, key)
        return data if data["state"] in ("success", "fail") else None

    return await eventually(done)


def _callback(url: str | None) -> dict[str, str]:
    return {} if url is None else {"callBackUrl": url}
