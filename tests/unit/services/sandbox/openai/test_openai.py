"""The official SDK, unchanged, against the sandbox."""

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from services.sandbox.faults import FAULT_NAMES
from tests.support.each import each
from tests.unit.services.sandbox.openai.conftest import client_of

MODEL = "gpt-4o-mini"
ASK: Any = [
    {"role": "system", "content": "You write prompts for promo videos."},
    {
        "role": "user",
        "content": [{"type": "text", "text": "<product>\na blue enamel mug\n</product>\nStyle: UGC"}],
    },
]


class Script(BaseModel):
    handling: str
    light: str
    product: str


async def test_structured_output_fits_the_schema_and_speaks_of_the_product(client):
    done = await client.chat.completions.parse(model=MODEL, messages=ASK, response_format=Script)
    script = done.choices[0].message.parsed
    assert script.product == "a blue enamel mug"
    assert "a blue enamel mug" in script.handling
    assert len(script.handling) > 100 and len(script.light) > 10, "rich enough to be accepted"
    assert done.choices[0].finish_reason == "stop"
    assert done.model == "gpt-4o-mini-2024-07-18"
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens > 0


async def test_the_same_question_has_the_same_answer_and_another_product_another(client):
    async def answer(product: str) -> str:
        messages = [{"role": "user", "content": f"Product: {product}"}]
        done = await client.chat.completions.parse(model=MODEL, messages=messages, response_format=Script)
        return str(done.choices[0].message.content)

    assert await answer("a mug") == await answer("a mug") != await answer("a lamp")
    assert "настольная лампа" in await answer("настольная лампа 💡 \u202eabc")


async def test_pictures_and_plain_text(client):
    parts: Any = [
        {"type": "text", "text": "Товар: синяя кружка"},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AAAA", "detail": "low"}},
    ]
    done = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": parts}])
    assert "синяя кружка" in done.choices[0].message.content
    parts[1]["image_url"]["url"] = "ftp://a.example/1.jpg"
    with pytest.raises(openai.BadRequestError) as error:
        await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": parts}])
    assert error.value.code == "invalid_image_url"


async def test_streams_are_refused(client):
    with pytest.raises(openai.BadRequestError, match="Streaming is not part of this sandbox"):
        await client.chat.completions.create(model=MODEL, messages=ASK, stream=True)


async def test_a_schema_that_strict_mode_forbids(client):
    for schema, missing in (
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            "additionalProperties",
        ),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}, "'a'"),
        ({"type": "string"}, "object"),
        (
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
            | {"additionalProperties": False},
            "only strings",
        ),
    ):
        form = {"type": "json_schema", "json_schema": {"name": "p", "strict": True, "schema": schema}}
        with pytest.raises(openai.BadRequestError, match=missing):
            await client.chat.completions.create(model=MODEL, messages=ASK, response_format=form)


async def test_moderation(client):
    fine = await client.moderations.create(model="omni-moderation-latest", input="a mug")
    assert fine.results[0].flagged is False
    parts = [{"type": "text", "text": "this is flagged-by-moderation"}]
    bad = await client.moderations.create(model="omni-moderation-latest", input=parts)
    assert bad.results[0].flagged is True
    assert bad.results[0].categories.violence is True
    many = await client.moderations.create(input=["a mug", "flagged-by-moderation"])
    assert [result.flagged for result in many.results] == [False, True]


async def test_models(client):
    assert MODEL in [model.id async for model in client.models.list()]
    assert (await client.models.retrieve(MODEL)).id == MODEL
    with pytest.raises(openai.NotFoundError) as error:
        await client.models.retrieve("gpt-0")
    assert error.value.code == "model_not_found"


async def test_requests_that_make_no_sense(sandbox, client):
    with pytest.raises(openai.BadRequestError):
        await client.chat.completions.create(model=MODEL, messages=[])
    headers = {"Authorization": "Bearer sk-sandbox"}
    url = f"{sandbox.url}/openai/v1/chat/completions"
    for body in (b"{", b"[]", b'{"model": "x"}', b"[" * 100_000):
        async with sandbox.http.post(url, data=body, headers=headers) as reply:
            assert reply.status == 400
            assert (await reply.json())["error"]["type"] == "invalid_request_error"
    async with sandbox.http.post(url, json={}) as reply:
        assert reply.status == 401


ERRORS = {
    "quota": (openai.RateLimitError, 429, "insufficient_quota"),
    "rate_limit": (openai.RateLimitError, 429, "rate_limit_exceeded"),
    "bad_key": (openai.AuthenticationError, 401, "invalid_api_key"),
    "region": (openai.PermissionDeniedError, 403, "unsupported_country_region_territory"),
    "server_error": (openai.InternalServerError, 500, None),
    "html_502": (openai.InternalServerError, 502, None),
}


@each(("name", "expected"), ERRORS.items())
async def test_errors_as_the_sdk_sees_them(sandbox, client, name, expected):
    kind, status, code = expected
    sandbox.fault("openai", "chat", name)
    with pytest.raises(kind) as error:
        await client.chat.completions.create(model=MODEL, messages=ASK)
    assert (error.value.status_code, error.value.code) == (status, code)
    await client.chat.completions.create(model=MODEL, messages=ASK)


async def test_a_rate_limit_says_when_to_come_back(sandbox, client):
    sandbox.fault("openai", "chat", "rate_limit", args={"seconds": 0.01})
    with pytest.raises(openai.RateLimitError) as error:
        await client.chat.completions.create(model=MODEL, messages=ASK)
    headers = error.value.response.headers
    assert headers["retry-after-ms"] == "10"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    sandbox.fault("openai", "chat", "rate_limit", args={"seconds": 0.01})
    await client.with_options(max_retries=1).chat.completions.create(model=MODEL, messages=ASK)


async def test_a_hang_is_the_clients_timeout(sandbox, client):
    sandbox.fault("openai", "chat", "hang")
    with pytest.raises(openai.APITimeoutError):
        await client.with_options(timeout=0.3).chat.completions.create(model=MODEL, messages=ASK)


async def parsed(client):
    done = await client.chat.completions.parse(model=MODEL, messages=ASK, response_format=Script)
    return done.choices[0]


async def test_answers_that_are_spoiled(sandbox, client):
    for name in ("refusal", "invalid_json", "truncated", "content_filter"):
        sandbox.fault("openai", "chat", name)
    choice = await parsed(client)
    assert choice.message.parsed is None
    assert "can't help" in choice.message.refusal
    with pytest.raises(ValueError, match="JSON"):
        await parsed(client)
    with pytest.raises(openai.LengthFinishReasonError):
        await parsed(client)
    with pytest.raises(openai.ContentFilterFinishReasonError):
        await parsed(client)
    assert (await parsed(client)).message.parsed


async def test_faults_can_be_meant_for_one_key_or_prompt(sandbox):
    sandbox.fault("openai", "chat", "quota", times=None, match={"key": "sk-poor", "prompt": "mug"})
    async with client_of(sandbox, "sk-poor") as poor, client_of(sandbox) as rich:
        with pytest.raises(openai.RateLimitError):
            await poor.chat.completions.create(model=MODEL, messages=ASK)
        await rich.chat.completions.create(model=MODEL, messages=ASK)
        other: Any = [{"role": "user", "content": "a lamp"}]
        await poor.chat.completions.create(model=MODEL, messages=other)


@each("name", sorted(set(FAULT_NAMES["openai"]["chat"]) - {"hang"}))
async def test_every_listed_fault_changes_the_answer(sandbox, name):
    url, headers = f"{sandbox.url}/openai/v1/chat/completions", {"Authorization": "Bearer sk-sandbox"}
    body = {"model": MODEL, "messages": ASK}

    async def ask() -> str:
        async with sandbox.http.post(url, json=body, headers=headers) as reply:
            return f"{reply.status} {json.dumps(await reply.text())}"

    good = await ask()
    sandbox.fault("openai", "chat", name)
    assert await ask() != good
    assert await ask() == good
