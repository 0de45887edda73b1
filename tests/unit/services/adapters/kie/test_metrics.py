"""Every call to the provider is measured, by what came of it."""

import asyncio

import httpx
import pytest
from prometheus_client import REGISTRY

from services.adapters.kie.errors import KieError
from tests.support.each import each
from tests.unit.services.adapters.kie.conftest import Handler, NewClient, raising, replying


def counted(call: str, result: str) -> float:
    labels = {"call": call, "result": result}
    return REGISTRY.get_sample_value("neurocards_provider_call_seconds_count", labels) or 0.0


@each(
    ("handler", "result"),
    [
        (replying(200, {"code": 200, "msg": "success", "data": 7}), "ok"),
        (replying(200, {"code": 401, "msg": "no", "data": None}), "provider_auth"),
        (replying(502, "<html>"), "unknown"),
        (raising(httpx.ConnectError("refused")), "not_sent"),
        (raising(httpx.ReadTimeout("silence")), "unknown"),
    ],
)
async def test_a_call_is_counted_under_its_result(
    new_client: NewClient, handler: Handler, result: str
) -> None:
    before = counted("credit", result)
    try:
        await new_client(handler).credit()
    except KieError:
        assert result != "ok"
    assert counted("credit", result) == before + 1


async def test_a_call_that_was_given_up_is_not_counted(new_client: NewClient) -> None:
    asked, results = asyncio.Event(), ("ok", "error", "unknown", "not_sent")

    async def never(request: httpx.Request) -> httpx.Response:
        asked.set()
        return await asyncio.Future[httpx.Response]()

    before = [counted("credit", result) for result in results]
    call = asyncio.create_task(new_client(never).credit())  # type: ignore[arg-type]
    await asked.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert [counted("credit", result) for result in results] == before
