"""Results that are not what a success promises."""

import json
from typing import Any

from tests.unit.services.sandbox.kie.conftest import create, finished


async def done(sandbox, fault: str, **args: Any) -> dict[str, Any]:
    sandbox.fault("kie", "task", fault, args=args)
    task_id = await create(sandbox)
    sandbox.clock.advance(10)
    data: dict[str, Any] = await finished(sandbox, task_id)
    assert data["state"] == "success"
    return data


async def fetched(sandbox, data: dict[str, Any]) -> tuple[int, str, bytes]:
    result = data["resultJson"] if isinstance(data["resultJson"], dict) else json.loads(data["resultJson"])
    async with sandbox.http.get(result["resultUrls"][0]) as reply:
        assert reply.content_length is not None
        return reply.status, reply.content_type, await reply.read()


async def test_successes_that_are_none(sandbox):
    assert (await done(sandbox, "success_without_url"))["resultJson"] == '{"resultUrls":[]}'
    assert (await done(sandbox, "success_without_url", result_json="oops"))["resultJson"] == "oops"
    assert (await fetched(sandbox, await done(sandbox, "result_404")))[0] == 404
    status, mime, body = await fetched(sandbox, await done(sandbox, "result_not_video"))
    assert (status, mime) == (200, "video/mp4")
    assert body.startswith(b"<!DOCTYPE html>")


async def test_a_result_as_an_object_instead_of_a_string(sandbox):
    data = await done(sandbox, "result_as_object")
    assert isinstance(data["resultJson"], dict)
    assert (await fetched(sandbox, data))[0] == 200


async def test_a_huge_result_begins_with_a_real_video(sandbox):
    data = await done(sandbox, "result_huge", megabytes=3)
    _, _, body = await fetched(sandbox, data)
    assert len(body) > 3 * 1024 * 1024
    assert b"moov" in body[:100_000]
