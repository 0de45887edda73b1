"""Which task a callback is about: wherever the provider puts it, and never anything odd."""

from services.web.kie_webhook import task_in
from tests.support.each import each


@each(
    "body",
    [
        b'{"code": 200, "data": {"taskId": "t1", "state": "success"}}',
        b'{"data": {"task_id": "t1"}}',
        b'{"taskId": "t1", "code": 200, "data": {"callbackType": "task_completed"}}',
        b'{"taskId": "t1", "data": null}',
        b'{"taskId": "t1"}',
    ],
)
def test_found(body: bytes) -> None:
    assert task_in(body) == "t1"


@each(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"t1"',
        b'{"taskId": 7}',
        b'{"taskId": ["t1"]}',
        b'{"taskId": ""}',
        b'{"taskId": "' + b"t" * 129 + b'"}',
        b'{"taskId": "t\\u0000"}',
        b'{"taskId": "t\\n1"}',
        '{"taskId": "т1"}'.encode(),
        b"[" * 50_000,
        b'{"a":' * 50_000,
    ],
)
def test_nothing_there(body: bytes) -> None:
    assert task_in(body) is None
