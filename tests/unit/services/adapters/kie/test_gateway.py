"""What the client makes of good, wrong and broken replies."""

from decimal import Decimal
from typing import Any

import httpx
import pytest

from services.adapters.kie.envelope import REPLY_BYTES_MAX
from services.adapters.kie.errors import (
    KieError,
    KieNotSentError,
    KieRefusedError,
    OutcomeUnknownError,
    TaskUnknownError,
)
from services.adapters.kie.gateway import KieClient
from tests.support.each import each
from tests.unit.services.adapters.kie.conftest import NewClient, raising, replying

GOOD = {"code": 200, "msg": "success", "data": {"taskId": "t1"}}
PAUSED = {"code": 500, "msg": "This interface is temporarily paused.", "data": None}
SERVER_ERROR = {"code": 500, "msg": "Server Error - An unexpected error occurred", "data": None}
HTML = "<html><head><title>502 Bad Gateway</title></head></html>"


async def create(client: KieClient) -> str:
    return await client.create_task("bytedance/seedance-2-fast", {"prompt": "x"}, "https://us.test/cb")


async def test_a_task_is_created_with_key_callback_and_input(new_client: NewClient) -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=GOOD)

    assert await create(new_client(handler)) == "t1"
    (request,) = seen
    assert str(request.url) == "https://api.test/api/v1/jobs/createTask"
    assert request.headers["authorization"] == "Bearer the-key"
    assert request.read() == (
        b'{"model":"bytedance/seedance-2-fast","input":{"prompt":"x"},"callBackUrl":"https://us.test/cb"}'
    )


REFUSED = [
    (200, PAUSED, "model_paused"),
    (500, PAUSED, "model_paused"),
    (200, {"code": 402, "msg": "Credits insufficient : ..."}, "provider_balance"),
    (402, {"code": 402, "msg": "Credits insufficient : ..."}, "provider_balance"),
    (200, {"code": 401, "msg": "You do not have access permissions"}, "provider_auth"),
    (401, "Unauthorized", "provider_auth"),
    (403, "<html>error code: 1010</html>", "provider_auth"),
    (200, {"code": 422, "msg": "The model name you specified is not supported."}, "our_fault"),
    (404, {"timestamp": 1, "status": 404, "error": "Not Found"}, "our_fault"),
    (200, {"code": 429, "msg": "Rate limit exceeded"}, "rate_limited"),
    (429, "", "rate_limited"),
    (200, {"code": 455, "msg": "The server is currently being maintained"}, "transient"),
    (503, {"code": 455, "msg": "The server is currently being maintained"}, "transient"),
    (200, SERVER_ERROR, "transient"),
    (200, {"code": 500, "msg": "words that nobody knows"}, "transient"),
    (200, {"code": 418, "message": "words that nobody knows"}, "unclassified"),
]


@each(("status", "body", "error_class"), REFUSED)
async def test_refused_means_nothing_was_created(
    new_client: NewClient, status: int, body: Any, error_class: str
) -> None:
    with pytest.raises(KieRefusedError) as caught:
        await create(new_client(replying(status, body)))
    assert caught.value.failure.error_class == error_class


UNKNOWN = [
    (502, HTML),
    (500, "Internal Server Error"),
    (500, SERVER_ERROR),
    (504, {"code": 504, "msg": ""}),
    (408, ""),
    (200, HTML),
    (200, ""),
    (200, '{"code":200,"msg":"success","data":{"task'),
    (200, '{"code":200,"msg":"success","data":{"taskId":"t1"'),
    (200, {"code": 200, "msg": "success", "data": None}),
    (200, {"code": 200, "msg": "success", "data": {"taskId": ""}}),
    (200, {"code": 200, "msg": "success", "data": {"taskId": "x" * 129}}),
    (200, {"code": 200, "msg": "success", "data": {"taskId": "task\n1"}}),
    (200, {"code": 200, "msg": "success", "data": {"taskId": "task\u0000"}}),
    (200, {"code": 200, "msg": "success", "data": {"taskId": "задача 1"}}),
    (200, {"code": 200, "msg": "success", "data": {"taskId": 17}}),
    (200, {"code": 500, "msg": "Server Error", "data": {"taskId": "task 1"}}),
    (200, {"code": True}),
    (200, [1, 2]),
    (200, b'{"code":200,"data":"' + b"x" * REPLY_BYTES_MAX + b'"}'),
]


@each(("status", "body"), UNKNOWN)
async def test_anything_else_after_sending_is_unknown(new_client: NewClient, status: int, body: Any) -> None:
    with pytest.raises(OutcomeUnknownError) as caught:
        await create(new_client(replying(status, body)))
    assert len(caught.value.failure.message) <= 500


@each(
    ("error", "expected"),
    [
        (httpx.ConnectError("refused"), KieNotSentError),
        (httpx.ConnectTimeout("slow"), KieNotSentError),
        (httpx.PoolTimeout("full"), KieNotSentError),
        (httpx.ReadTimeout("slow"), OutcomeUnknownError),
        (httpx.WriteTimeout("slow"), OutcomeUnknownError),
        (httpx.ReadError("reset"), OutcomeUnknownError),
        (httpx.WriteError("reset"), OutcomeUnknownError),
        (httpx.RemoteProtocolError("gone"), OutcomeUnknownError),
        (TimeoutError(), OutcomeUnknownError),
    ],
)
async def test_where_the_connection_broke_decides(
    new_client: NewClient, error: Exception, expected: type[KieError]
) -> None:
    with pytest.raises(KieError) as caught:
        await create(new_client(raising(error)))
    assert type(caught.value) is expected


async def test_a_task_with_an_id_exists_whatever_the_code_says(new_client: NewClient) -> None:
    assert await create(new_client(replying(500, GOOD | {"code": 505}))) == "t1"


async def test_retry_after_is_passed_on(new_client: NewClient) -> None:
    with pytest.raises(KieRefusedError) as caught:
        await create(new_client(replying(429, "", retry_after="7")))
    assert caught.value.retry_after_s == 7


@each(
    ("status", "body", "expected"),
    [
        (200, {"code": 422, "msg": "recordInfo is null", "data": None}, TaskUnknownError),
        (200, {"code": 404, "msg": "Task not found"}, TaskUnknownError),
        (200, {"code": 200, "msg": "success", "data": None}, TaskUnknownError),
        (200, {"code": 401, "msg": "Unauthorized"}, KieRefusedError),
        (429, "", KieRefusedError),
        (200, SERVER_ERROR, KieRefusedError),
        (502, HTML, OutcomeUnknownError),
        (200, '{"code":200,"data":{"sta', OutcomeUnknownError),
        (200, "", OutcomeUnknownError),
    ],
)
async def test_reading_a_task_goes_wrong(
    new_client: NewClient, status: int, body: Any, expected: type[KieError]
) -> None:
    with pytest.raises(KieError) as caught:
        await new_client(replying(status, body)).read_task("t1")
    assert type(caught.value) is expected


async def test_real_data_counts_under_an_odd_code(new_client: NewClient) -> None:
    body = {"code": 505, "msg": "success", "data": {"taskId": "t1", "state": "generating"}}
    assert (await new_client(replying(200, body)).read_task("t1")).state == "running"


async def test_an_upload_has_a_path_and_a_name(new_client: NewClient) -> None:
    seen: list[bytes] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.read())
        data = {"downloadUrl": "https://tempfile.test/a.jpg"}
        return httpx.Response(200, json={"success": True, "code": 200, "msg": "", "data": data})

    assert await new_client(handler).upload(b"\xff\xd8bytes", "a.jpg") == "https://tempfile.test/a.jpg"
    for part in (b'name="uploadPath"', b'name="fileName"', b'filename="a.jpg"', b"\xff\xd8bytes"):
        assert part in seen[0]


@each(
    ("body", "expected"),
    [
        ({"success": True, "code": 200, "data": {}}, OutcomeUnknownError),
        ({"success": True, "code": 200, "data": {"downloadUrl": "ftp://x"}}, OutcomeUnknownError),
        ({"success": False, "code": 401, "msg": "Authentication failed: Invalid API Key"}, KieRefusedError),
        (HTML, OutcomeUnknownError),
    ],
)
async def test_an_upload_goes_wrong(new_client: NewClient, body: Any, expected: type[KieError]) -> None:
    with pytest.raises(expected):
        await new_client(replying(200, body)).upload(b"x", "a.jpg")


async def test_the_balance_may_have_a_fraction(new_client: NewClient) -> None:
    body = '{"code":200,"msg":"success","data":12.2}'
    assert await new_client(replying(200, body)).credit() == Decimal("12.2")
    with pytest.raises(OutcomeUnknownError):
        await new_client(replying(200, {"code": 200, "data": "NaN"})).credit()


OLD, NEW = {"time": 1_795_358_400, "isNormal": True}, {"time": 1_795_444_800, "isNormal": False}


@each(
    ("data", "expected"),
    [
        ([OLD, NEW], False),
        ([NEW, OLD], False),
        ({"model": "m", "list": [OLD, NEW | {"isNormal": True}]}, True),
        ([OLD, NEW | {"isNormal": None}], None),
        ([{"isNormal": True}, {"isNormal": False}], None),
        ([], None),
        (None, None),
        ([[], "x", {"startTime": "2026-11-30 10:00:00", "isNormal": True}], True),
    ],
)
async def test_the_newest_bucket_says_how_a_model_is(new_client: NewClient, data: Any, expected: Any) -> None:
    client = new_client(replying(200, {"code": 200, "msg": "success", "data": data}))
    assert await client.is_normal("kling-2.6/image-to-video") is expected


async def test_a_question_too_many_says_nothing_of_a_model(new_client: NewClient) -> None:
    client = new_client(replying(200, {"code": 429, "msg": "Rate limit exceeded"}))
    with pytest.raises(KieRefusedError) as told:
        await client.is_normal("m")
    assert told.value.failure.error_class == "rate_limited"
