"""Every known sentence, and everything that is no sentence at all, as each of the calls hears it."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.adapters.kie.envelope import REPLY_BYTES_MAX
from services.adapters.kie.errors import KieError, KieRefusedError, OutcomeUnknownError, TaskUnknownError
from services.adapters.kie.gateway import KieClient
from tests.support.each import each
from tests.support.kie_sentences import REPLIES, SERVER, TASKS
from tests.unit.services.adapters.kie.conftest import NewClient, replying

CALLS: dict[str, Callable[[KieClient], Awaitable[Any]]] = {
    "createTask": lambda client: client.create_task("m", {"prompt": "x"}, None),
    "recordInfo": lambda client: client.read_task("t1"),
    "upload": lambda client: client.upload(b"x", "a.jpg"),
}
PERHAPS_MADE = {
    ("500", SERVER), ("500", "Internal server error"), ("500", ""), ("408", ""), ("550", "Connection Denied"),
    ("500", "words that nobody has seen yet"), ("501", ""),
}  # fmt: skip
"""With a matching HTTP status, these leave open whether createTask has made a task."""


async def heard(client: KieClient, call: str) -> KieError:
    with pytest.raises(KieError) as caught:
        await CALLS[call](client)
    return caught.value


def expected_class(call: str, code: str, error_class: str) -> str:
    # No task was made, so even words that nobody knows are worth another try.
    return "transient" if (call, code, error_class) == ("createTask", "500", "unclassified") else error_class


@each("call", CALLS)
@each(("code", "text", "error_class"), REPLIES)
async def test_a_sentence_over_http_200(
    new_client: NewClient, code: str, text: str, error_class: str, call: str
) -> None:
    body = {"code": int(code), "msg": text, "data": None}
    error = await heard(new_client(replying(200, body)), call)
    assert error.failure.error_class == expected_class(call, code, error_class)
    assert (error.failure.code, error.failure.message) == (code, text)
    assert json.loads(error.failure.raw) == body
    unknown_task = call == "recordInfo" and code in ("404", "422")
    assert type(error) is (TaskUnknownError if unknown_task else KieRefusedError)


@each("call", CALLS)
@each(("code", "text", "error_class"), REPLIES)
async def test_a_sentence_with_its_http_status(
    new_client: NewClient, code: str, text: str, error_class: str, call: str
) -> None:
    body = {"success": False, "code": code, "message": text}  # an old name and a code as text
    error = await heard(new_client(replying(int(code), body)), call)
    assert error.failure.code == code
    if call == "createTask" and (code, text) in PERHAPS_MADE:
        assert type(error) is OutcomeUnknownError
        assert error.failure.error_class == error_class
    else:
        assert isinstance(error, KieRefusedError)
        assert error.failure.error_class == expected_class(call, code, error_class)


@each(("code", "text", "error_class"), TASKS)
async def test_a_task_that_failed(new_client: NewClient, code: str, text: str, error_class: str) -> None:
    data = {"taskId": "t1", "state": "fail", "failCode": code, "failMsg": text, "param": '{"prompt":"x"}'}
    record = await new_client(replying(200, {"code": 200, "msg": "success", "data": data})).read_task("t1")
    assert record.failure is not None
    assert (record.failure.error_class, record.failure.code) == (error_class, code)
    assert text in record.failure.raw and "param" not in record.failure.raw


HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
BROKEN = {
    "html_502": (502, HTML, "502 Bad Gateway"),
    "html_200": (200, HTML, "502 Bad Gateway"),
    "cut_json": (200, '{"code":200,"msg":"success","data":{"state":"succ', '{"code":200,"msg":"success"'),
    "empty_200": (200, "", "an empty body"),
    "empty_503": (503, "", "an empty body"),
    "text": (500, "Internal Server Error", "Internal Server Error"),
    "huge": (200, '{"code":200,"data":"' + "x " * (REPLY_BYTES_MAX // 2) + '"}', '{"code":200'),
    "bytes": (200, b"\x1f\x8b\x00\xff\xfe", ""),
    "array": (200, "[1, 2]", "[1, 2]"),
    "no_code": (200, '{"status":"up"}', '{"status":"up"}'),
    "deep": (200, "[" * 100_000, "[[["),
    "slow": (408, "", "an empty body"),
}


@each("call", CALLS)
@each("kind", BROKEN)
async def test_what_is_no_answer(new_client: NewClient, kind: str, call: str) -> None:
    status, body, raw = BROKEN[kind]
    error = await heard(new_client(replying(status, body)), call)
    assert type(error) is OutcomeUnknownError
    assert (error.failure.error_class, error.failure.code) == ("transient", str(status))
    assert raw in error.failure.raw and len(error.failure.raw) <= 500
    assert raw not in str(error) or not raw  # a log line of the error alone holds nothing of the outside


TURNED_AWAY = [
    (401, "Unauthorized", "provider_auth"),
    (403, "<html>error code: 1010</html>", "provider_auth"),
    (402, HTML, "provider_balance"),
    (404, {"timestamp": 1, "status": 404, "error": "Not Found", "path": "/api/v1/jobs/create"}, "our_fault"),
    (413, "<html><h1>413 Request Entity Too Large</h1></html>", "our_fault"),
    (301, "", "unclassified"),
    (429, "", "rate_limited"),
]


@each("call", CALLS)
@each(("status", "body", "error_class"), TURNED_AWAY)
async def test_turned_away_before_the_provider_itself(
    new_client: NewClient, status: int, body: Any, error_class: str, call: str
) -> None:
    error = await heard(new_client(replying(status, body)), call)
    assert type(error) is KieRefusedError
    assert error.failure.error_class == error_class


@each("call", CALLS)
async def test_our_key_comes_back_to_nobody(new_client: NewClient, call: str) -> None:
    body = {"code": 401, "msg": "the-key is not a valid key", "data": {"authorization": "Bearer the-key"}}
    error = await heard(new_client(replying(200, body)), call)
    assert "the-key" not in error.failure.message + error.failure.raw + repr(error)


@each(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after": "90000000"}, 86_400),
        ({"retry_after": "Wed, 25 Nov 2026 10:00:30 GMT"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "nan"}, None),
        ({}, None),
    ],
)
async def test_when_the_provider_wants_to_be_asked_again(
    new_client: NewClient, headers: dict[str, str], seconds: float | None
) -> None:
    reply = {"code": 429, "msg": "Rate limit exceeded"}
    error = await heard(new_client(replying(200, reply, **headers)), "createTask")
    assert error.retry_after_s == seconds
