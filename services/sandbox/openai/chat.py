"""`POST /v1/chat/completions`, streamed or whole."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from services.sandbox.context import Context
from services.sandbox.openai import failures
from services.sandbox.openai.answers import Answer, capped, compose, count_tokens, digest, texts_of
from services.sandbox.openai.models import effort_problem, snapshot, thought_tokens
from services.sandbox.openai.schema import SchemaError


def routes(ctx: Context) -> list[web.RouteDef]:
    async def completions(request: web.Request) -> web.StreamResponse:
        body = await failures.json_object(request)
        asked = body or {}
        texts = texts_of(asked["messages"]) if isinstance(asked.get("messages"), list) else []
        model = str(asked.get("model", ""))
        refused = await failures.refused(ctx, request, "chat", model=model, prompt="\n".join(texts))
        if isinstance(refused, web.Response):
            return refused
        if body is None:
            return failures.not_json()
        if problem := _problem(body):
            return problem
        try:
            answer = compose(texts, _form(body), refused)
            thought = thought_tokens(body["model"], body.get("reasoning_effort"))
            answer = capped(answer, thought, body.get("max_completion_tokens"))
        except SchemaError as error:
            return failures.bad_request(str(error), "response_format")
        completion = _completion(body, answer, int(ctx.clock.now()))
        return await _stream(request, completion) if body.get("stream") else failures.good(completion)

    return [web.post("/v1/chat/completions", completions)]


def _problem(body: dict[str, Any]) -> web.Response | None:
    if not isinstance(body.get("model"), str) or not body["model"]:
        return failures.bad_request("you must provide a model parameter")
    messages = body.get("messages")
    if not isinstance(messages, list):
        return failures.missing("messages")
    if not messages:
        text = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty "
        return failures.bad_request(text + "array instead.", "messages", "empty_array")
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else []:
            if isinstance(part, dict) and part.get("type") == "image_url" and not _picture(part):
                return failures.bad_request("Invalid image URL.", "messages", "invalid_image_url")
    return effort_problem(body["model"], body.get("reasoning_effort"))


def _picture(part: dict[str, Any]) -> bool:
    url = part["image_url"].get("url") if isinstance(part.get("image_url"), dict) else None
    return isinstance(url, str) and url.startswith(("data:image/", "https://", "http://"))


def _form(body: dict[str, Any]) -> dict[str, Any] | None:
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") in (None, "text"):
        return None
    if wanted.get("type") == "json_object":
        return {"schema": {"type": "object", "properties": {"prompt": {"type": "string"}}}}
    form = wanted.get("json_schema")
    return form if isinstance(form, dict) else {}


def _completion(body: dict[str, Any], answer: Answer, created: int) -> dict[str, Any]:
    asked = count_tokens(body["messages"])
    said = count_tokens(answer.content or answer.refusal or "") + answer.thought
    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer.content,
        "refusal": answer.refusal,
        "annotations": [],
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish}
    return {
        "id": digest("chatcmpl-", body),
        "object": "chat.completion",
        "created": created,
        "model": snapshot(body["model"]),
        "choices": [choice],
        "usage": {
            "prompt_tokens": asked,
            "completion_tokens": said,
            "total_tokens": asked + said,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": answer.thought,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": "fp_sandbox",
    }


async def _stream(request: web.Request, completion: dict[str, Any]) -> web.StreamResponse:
    """The same completion as server-sent events: the role, the words, the end."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    choice = completion["choices"][0]
    said = choice["message"]["content"]
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    if said is None:
        deltas.append(({"refusal": choice["message"]["refusal"]}, None))
    else:
        deltas += [({"content": said[at : at + 40]}, None) for at in range(0, len(said), 40)]
    deltas.append(({}, choice["finish_reason"]))
    shared = {
        key: completion[key] for key in ("id", "created", "model", "service_tier", "system_fingerprint")
    }
    for delta, finish in deltas:
        piece = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        event = {**shared, "object": "chat.completion.chunk", "choices": [piece]}
        await response.write(f"data: {json.dumps(event)}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response
