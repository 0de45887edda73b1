"""Callbacks: once, again on failure, twice, never, forged, too early; and signed when there is a key."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

from tests.support.outside import ManualClock, listening, outside
from tests.support.waiting import eventually
from tests.unit.services.sandbox.kie.conftest import MODULES, create, finished, record


async def told(sandbox, task_id: str) -> Any:
    book = (await sandbox.get("/__sandbox/book"))["kie"]["tasks"]
    return next(task["callbacks"] for task in book if task["taskId"] == task_id)


async def settled(sandbox, task_id: str) -> None:
    async def over() -> bool:
        callbacks = await told(sandbox, task_id)
        return bool(callbacks) and all(c["state"] != "pending" for c in callbacks)

    await eventually(over)


async def test_a_callback_tells_what_the_record_tells(sandbox, listener):
    task_id = await create(sandbox, callback=listener.url)
    assert listener.received == []
    sandbox.clock.advance(10)
    data = await finished(sandbox, task_id)
    await settled(sandbox, task_id)
    assert len(listener.received) == 1
    body = listener.bodies[0]
    assert (body["code"], body["msg"]) == (200, "Playground task completed successfully.")
    assert body["data"]["taskId"] == task_id
    assert json.loads(body["data"]["param"])["callBackUrl"] == listener.url
    assert body["data"]["resultJson"] == data["resultJson"]
    assert body["data"]["failCode"] is None
    assert body["data"]["costTime"] == 10, "seconds here"
    assert data["costTime"] == 10_000, "milliseconds there"
    assert "X-Webhook-Signature" not in listener.received[0][1]


async def test_a_failure_is_told_too(sandbox, listener):
    sandbox.fault("kie", "task", "policy")
    task_id = await create(sandbox, callback=listener.url)
    sandbox.clock.advance(10)
    await settled(sandbox, task_id)
    body = listener.bodies[0]
    assert (body["code"], body["msg"], body["data"]["state"]) == (501, "Playground task failed.", "fail")
    assert "resultJson" not in body["data"]


async def test_it_is_tried_four_times_and_then_given_up(sandbox, listener):
    sandbox.turn(callback_retry_seconds=[1, 2, 3])
    listener.statuses = [500, 404, 302, 500]
    task_id = await create(sandbox, callback=listener.url)
    for tries, pause_s in enumerate((10, 1, 2, 3), start=1):
        sandbox.clock.advance(pause_s)
        await eventually_answered(sandbox, task_id, tries)
    sandbox.clock.advance(1000)
    assert len(listener.received) == 4
    assert await told(sandbox, task_id) == [
        {"number": 1, "state": "given_up", "answers": ["500", "404", "302", "500"], "forged": False}
    ]


async def eventually_answered(sandbox, task_id: str, tries: int) -> None:
    async def answered() -> bool:
        callbacks = await told(sandbox, task_id)
        return bool(callbacks) and len(callbacks[0]["answers"]) == tries

    await eventually(answered)


async def test_what_is_owed_survives_a_restart(tmp_path: Path):
    clock = ManualClock()
    async with listening() as hook:
        hook.statuses = [500]
        async with outside(MODULES, tmp_path, clock) as sandbox:
            sandbox.turn(render_seconds=10, small_videos=True)
            task_id = await create(sandbox, callback=hook.url)
            clock.advance(10)
            await eventually_answered(sandbox, task_id, 1)
        clock.advance(5)
        async with outside(MODULES, tmp_path, clock) as sandbox:
            await settled(sandbox, task_id)
            assert [body["data"]["taskId"] for body in hook.bodies] == [task_id, task_id]


async def test_twice_and_never(sandbox, listener):
    sandbox.fault("kie", "callback", "callback_twice")
    sandbox.fault("kie", "callback", "callback_never")
    twice, never = await create(sandbox, callback=listener.url), await create(sandbox, callback=listener.url)
    sandbox.clock.advance(10)
    await finished(sandbox, never)
    await settled(sandbox, twice)
    assert [body["data"]["taskId"] for body in listener.bodies] == [twice, twice]
    assert await told(sandbox, never) == []


async def test_a_forged_one_comes_while_the_task_still_runs(sandbox, listener):
    sandbox.fault("kie", "callback", "callback_forged")
    task_id = await create(sandbox, callback=listener.url)
    await eventually(lambda: listener.received)
    forged = listener.bodies[0]["data"]
    assert (forged["taskId"], forged["state"]) == (task_id, "success")
    assert "forged.mp4" in forged["resultJson"]
    assert (await record(sandbox, task_id))["state"] == "waiting"
    sandbox.clock.advance(10)
    await eventually(lambda: len(listener.received) == 2)


async def test_one_may_come_before_the_answer(sandbox, listener):
    sandbox.fault("kie", "createTask", "callback_before_answer")
    task_id = await create(sandbox, callback=listener.url)
    assert [body["data"]["taskId"] for body in listener.bodies] == [task_id]
    assert (await record(sandbox, task_id))["state"] == "success"


async def test_signatures(sandbox, listener):
    sandbox.turn(callback_hmac_key="secret")
    sandbox.fault("kie", "callback", "callback_bad_signature", after=1)
    good = [await create(sandbox, callback=listener.url), await create(sandbox, callback=listener.url)]
    sandbox.clock.advance(10)
    for task_id in good:
        await settled(sandbox, task_id)
    valid = {}
    for body, headers in listener.received:
        message = f"{body['data']['taskId']}.{headers['X-Webhook-Timestamp']}".encode()
        digest = base64.b64encode(hmac.new(b"secret", message, hashlib.sha256).digest()).decode()
        valid[body["data"]["taskId"]] = headers["X-Webhook-Signature"] == digest
    assert valid == {good[0]: True, good[1]: False}
