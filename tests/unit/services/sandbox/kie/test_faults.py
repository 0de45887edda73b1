"""Every fault of the provider, as a client meets it."""

import json

import aiohttp
import pytest

from services.sandbox.faults import FAULT_NAMES, KIE_CALL, KIE_TASK
from services.sandbox.knobs import knobs
from tests.support.each import each
from tests.support.outside import KEY
from tests.unit.services.sandbox.kie.conftest import MODEL, ask, create, finished, record, send_file, upload

PATH = "/kie/api/v1/jobs/createTask"
RECORD = "/kie/api/v1/jobs/recordInfo"

ENVELOPES = {
    "paused": (500, "This interface is temporarily paused."),
    "no_balance": (402, "Credits insufficient : Your current balance isn't enough"),
    "no_balance_500": (500, "Credits insufficient : Your current balance isn't enough"),
    "rate_limited": (429, "Rate limit exceeded"),
    "maintenance": (455, "The server is currently being maintained, please try again later~"),
    "server_error": (500, "Server Error - An unexpected error occurred while processing the request"),
    "validation": (500, "image_urls is required"),
    "bad_key": (401, "You do not have access permissions"),
}


async def accepted(sandbox) -> int:
    return len((await sandbox.get("/__sandbox/book"))["kie"]["tasks"])


@pytest.mark.parametrize(("name", "expected"), ENVELOPES.items(), ids=ENVELOPES)
async def test_faults_that_answer_with_a_code(sandbox, name, expected):
    sandbox.fault("kie", "createTask", name)
    answer = await ask(sandbox)
    assert answer["code"] == expected[0]
    assert answer["msg"].startswith(expected[1])
    assert await accepted(sandbox) == 0
    await create(sandbox)


async def raw(sandbox) -> tuple[int, str]:
    given = {"prompt": "a mug", "first_frame_url": await upload(sandbox)}
    headers = {"Authorization": f"Bearer {KEY}"}
    async with sandbox.http.post(
        sandbox.url + PATH, json={"model": MODEL, "input": given}, headers=headers
    ) as reply:
        return reply.status, await reply.text()


@pytest.mark.parametrize(
    ("name", "args", "tasks"),
    [
        ("html_502", {}, 0),
        ("html_502", {"accepted": True}, 1),
        ("http_500", {}, 0),
        ("truncated_json", {}, 1),
        ("truncated_json", {"accepted": False}, 0),
        ("empty_body", {}, 0),
    ],
)
async def test_faults_that_break_the_answer(sandbox, name, args, tasks):
    sandbox.fault("kie", "createTask", name, args=args)
    status, text = await raw(sandbox)
    assert status == {"html_502": 502, "http_500": 500}.get(name, 200)
    with pytest.raises(ValueError, match=r"."):
        json.loads(text)
    assert await accepted(sandbox) == tasks


@each(("name", "tasks"), [("drop_before", 0), ("drop_after_accept", 1)])
async def test_faults_that_cut_the_connection(sandbox, name, tasks):
    sandbox.fault("kie", "createTask", name)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await raw(sandbox)
    assert await accepted(sandbox) == tasks


async def test_a_hang_ends_when_the_client_gives_up(sandbox):
    sandbox.fault("kie", "createTask", "hang", args={"accepted": True})
    with pytest.raises(TimeoutError):
        await sandbox.post(
            PATH, {"model": MODEL, "input": {"prompt": "abc"}}, timeout=aiohttp.ClientTimeout(total=2)
        )
    assert await accepted(sandbox) == 1


FAILURES = {
    "policy": ("500", "guardrails concerning similarity to third-party content"),
    "face": ("500", "The input image may contain real person."),
    "google_policy": ("500", "violates Google's Generative AI Prohibited Use policy"),
    "task_transient": ("500", "Internal Error, Please try again later."),
    "task_timeout": ("500", "timed out"),
    "task_no_balance": ("402", "Credits insufficient : Your current balance isn't enough"),
}


@each(("name", "expected"), FAILURES.items())
async def test_faults_that_fail_the_task_later(sandbox, name, expected):
    sandbox.fault("kie", "createTask", name)
    task_id = await create(sandbox)
    assert (await record(sandbox, task_id))["state"] == "waiting"
    sandbox.clock.advance(10)
    data = await finished(sandbox, task_id)
    assert (data["state"], data["failCode"]) == ("fail", expected[0])
    assert expected[1] in data["failMsg"]
    assert data["resultJson"] == ""


async def test_the_sentence_of_a_failure_can_be_given(sandbox):
    sandbox.fault("kie", "task", "task_transient", args={"code": "422", "msg": "task id is blank"})
    task_id = await create(sandbox)
    sandbox.clock.advance(10)
    data = await finished(sandbox, task_id)
    assert (data["failCode"], data["failMsg"]) == ("422", "task id is blank")


async def test_a_task_that_never_finishes(sandbox):
    sandbox.fault("kie", "task", "never_finishes")
    task_id = await create(sandbox)
    sandbox.clock.advance(86_400)
    assert (await record(sandbox, task_id))["state"] == "generating"


async def test_a_task_that_is_late(sandbox):
    sandbox.fault("kie", "task", "late_success", args={"seconds": 1000})
    task_id = await create(sandbox)
    sandbox.clock.advance(999)
    assert (await record(sandbox, task_id))["state"] == "generating"
    sandbox.clock.advance(1)
    assert (await finished(sandbox, task_id))["state"] == "success"


async def test_a_state_nobody_knows_comes_before_success_or_for_ever(sandbox):
    sandbox.fault("kie", "task", "unknown_state")
    sandbox.fault("kie", "task", "unknown_state", args={"state": "odd", "forever": True})
    passing, stuck = await create(sandbox), await create(sandbox)
    sandbox.clock.advance(5)
    assert (await record(sandbox, passing))["state"] == "post_processing"
    sandbox.clock.advance(5)
    assert (await finished(sandbox, passing))["state"] == "success"
    assert (await record(sandbox, stuck))["state"] == "odd"


@each("name", FAULT_NAMES["kie"]["recordInfo"])
async def test_faults_of_reading_pass(sandbox, name):
    task_id = await create(sandbox)
    # aiohttp's client silently repeats a GET whose connection was cut, once.
    sandbox.fault("kie", "recordInfo", name, match={"task": task_id}, times=2 if name == "drop" else 1)
    headers = {"Authorization": f"Bearer {KEY}"}
    try:
        async with sandbox.http.get(
            sandbox.url + RECORD, params={"taskId": task_id}, headers=headers
        ) as reply:
            text = await reply.text()
    except aiohttp.ServerDisconnectedError:
        assert name == "drop"
    else:
        codes = {"rate_limited": 429, "server_error": 500, "record_null": 422}
        assert name in ("html_502", "truncated_json") or json.loads(text)["code"] == codes[name]
        assert name != "html_502" or reply.status == 502
    assert (await record(sandbox, task_id))["state"] == "waiting"


async def test_faults_of_uploading(sandbox):
    for name in FAULT_NAMES["kie"]["upload"]:
        sandbox.fault("kie", "upload", name)
    with pytest.raises(ValueError, match=r"."):
        await send_file(sandbox, b"abc", uploadPath="images")
    assert "downloadUrl" not in (await send_file(sandbox, b"abc", uploadPath="images"))["data"]
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await send_file(sandbox, b"abc", uploadPath="images")
    assert (await send_file(sandbox, b"abc", uploadPath="images"))["success"] is True


async def test_faults_can_be_meant_for_one_key_callback_or_prompt(sandbox):
    sandbox.fault("kie", "createTask", "no_balance", times=None, match={"key": "poor"})
    sandbox.fault("kie", "createTask", "policy", match={"prompt": "gun"})
    sandbox.fault("kie", "createTask", "paused", match={"callback": "/job-7/"})
    assert (await ask(sandbox, key="poor"))["code"] == 402
    assert (await ask(sandbox, callback="http://127.0.0.1:9/job-7/x"))["code"] == 500
    fine, bad = await create(sandbox, key="rich"), await create(sandbox, prompt="a gun")
    sandbox.clock.advance(10)
    assert (await finished(sandbox, fine, "rich"))["state"] == "success"
    assert (await finished(sandbox, bad))["state"] == "fail"
    assert (await ask(sandbox, key="poor"))["code"] == 402


async def test_seeded_faults_come_again_with_the_same_seed(sandbox):
    sandbox.turn(rate_limit=0)

    async def outcomes(seed: int) -> list[str]:
        answer = await sandbox.post("/__sandbox/seed", {"seed": seed, "rate": 0.5, "only": list(ENVELOPES)})
        assert answer == {"ok": True}
        return [(await ask(sandbox))["msg"] for _ in range(30)]

    first, other, again = await outcomes(1), await outcomes(2), await outcomes(1)
    assert first == again != other
    assert 5 <= first.count("success") <= 25
    await sandbox.post("/__sandbox/seed", {"seed": 1, "rate": 0})
    assert set(await outcomes_without(sandbox)) == {"success"}


async def test_seeded_faults_take_their_arguments(sandbox):
    seed = {
        "seed": 1,
        "rate": 1,
        "only": ["server_error"],
        "args": {"server_error": {"msg": "our own words"}},
    }
    assert (await sandbox.post("/__sandbox/seed", seed))["ok"]
    assert (await ask(sandbox))["msg"] == "our own words"


async def outcomes_without(sandbox) -> list[str]:
    return [(await ask(sandbox))["msg"] for _ in range(5)]


async def test_every_listed_fault_is_acted_out(sandbox):
    """No name in the table may be one that nothing happens for."""
    sandbox.turn(rate_limit=0)
    for name in KIE_CALL + KIE_TASK:
        sandbox.fault("kie", "createTask", name, args={"seconds": 0.1})
        try:
            status, text = await raw(sandbox)
            unchanged = status == 200 and text.startswith('{"code":200') and text.endswith("}")
        except aiohttp.ServerDisconnectedError:
            unchanged = False
        assert unchanged == (name in KIE_TASK), name
    book = (await sandbox.get("/__sandbox/book"))["kie"]["tasks"]
    assert [task["fault"] for task in book if task["fault"]] == list(KIE_TASK)
    assert knobs(sandbox.ctx).balance < 1_000_000
