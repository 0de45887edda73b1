"""Tasks as the provider tells them."""

import json
from typing import Any

from services.adapters.kie.envelope import parse_record
from tests.support.each import each

URL = "https://tempfile.example.com/v/1.mp4"
CALLBACK = "https://us.test/webhooks/kie/j1/1/abc"


def data(**fields: Any) -> dict[str, Any]:
    param = json.dumps({"model": "m", "callBackUrl": CALLBACK, "input": {}})
    return {"taskId": "t1", "model": "m", "param": param, "failCode": "", "failMsg": None} | fields


@each("result", [json.dumps({"resultUrls": [URL]}), {"resultUrls": [URL]}])
def test_a_success_has_its_urls(result: Any) -> None:
    record = parse_record(data(state="success", resultJson=result))
    assert (record.task, record.state, record.urls, record.failure) == ("t1", "success", (URL,), None)
    assert record.callback_url == CALLBACK


@each("result", ["", None, "{", "[]", '{"resultUrls":[]}', '{"resultUrls":"x"}', 7])
def test_a_success_without_a_usable_url_has_none(result: Any) -> None:
    assert parse_record(data(state="success", resultJson=result)).urls == ()


@each(
    ("credits", "milli"),
    [
        (61, 61_000),
        (61.5, 61_500),
        ("12.2", 12_200),
        (0, 0),
        (0.0004, 0),
        (0.0005, 1),
        (None, None),
        (True, None),
        (-1, None),
        (float("inf"), None),
        (1e300, None),
        ("much", None),
        ([], None),
    ],
)
def test_what_an_ended_task_was_charged_is_told_in_thousandths(credits: Any, milli: int | None) -> None:
    for state in ("success", "fail"):
        assert parse_record(data(state=state, creditsConsumed=credits)).charged_milli == milli
    assert parse_record(data(state="generating", creditsConsumed=credits)).charged_milli is None
    assert parse_record(data(state="success")).charged_milli is None


@each("state", ["waiting", "queuing", "generating"])
def test_it_runs(state: str) -> None:
    record = parse_record(data(state=state, resultJson=None))
    assert record.state == "running" and not record.odd


def test_a_state_nobody_knows_counts_as_running() -> None:
    record = parse_record(data(state="post_processing"))
    assert record.state == "running" and record.odd


@each(
    ("code", "text", "error_class"),
    [
        ("500", "Internal server error", "transient"),
        ("", None, "unclassified"),
        (None, "timed out", "transient"),
    ],
)
def test_a_failure_has_its_class(code: Any, text: Any, error_class: str) -> None:
    record = parse_record(data(state="fail", failCode=code, failMsg=text))
    assert record.state == "fail" and record.failure is not None
    assert record.failure.error_class == error_class


@each("param", [None, "", "{", "[]", {"callBackUrl": 7}])
def test_no_callback_is_none(param: Any) -> None:
    assert parse_record(data(state="waiting", param=param)).callback_url is None
