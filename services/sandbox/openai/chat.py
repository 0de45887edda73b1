"""`POST /v1/chat/completions`: an answer that fits the asked schema, spoiled on demand; never streamed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from services.sandbox.app import Context
from services.sandbox.faults import Fault
from services.sandbox.openai import errors
from services.sandbox.openai.models import effort_problem, snapshot, thought_tokens
from services.sandbox.openai.schema import SchemaError, check_strict, fill, product_of, text_for

_REFUSAL = "I'm sorry, but I can't help with that request."
_PICTURE_TOKENS = 85
_TOKEN_CHARS = 4


@dataclass(frozen=True)
class Answer:
    """`finish` is stop, length or content_filter; `refusal` is set instead of `content`."""

    content: str | None
    refusal: str | None
    finish: str
    thought: int = 0  # hidden tokens that came before it


def routes(ctx: Context) -> list[web.RouteDef]:
    async def completions(request: web.Request) -> web.StreamResponse:
        body = await errors.json_object(request)
        asked = body or {}
        texts = texts_of(asked["messages"]) if isinstance(asked.get("messages"), list) else []
        model = str(asked.get("model", ""))
        refused = await errors.refused(ctx, request, "chat", model=model, prompt="\n".join(texts))
        if isinstance(refused, web.Response):
            return refused
        if body is None:
            return errors.not_json()
        if problem := _problem(body):
            return problem
        try:
            answer = compose(texts, _form(body), refused)
            thought = thought_tokens(body["model"], body.get("reasoning_effort"))
            answer = capped(answer, thought, body.get("max_completion_tokens"))
        except SchemaError as error:
            return errors.bad_request(str(error), "response_format")
        return errors.good(_completion(body, answer, int(ctx.clock.now())))

    return [web.post("/v1/chat/completions", completions)]


def _problem(body: dict[str, Any]) -> web.Response | None:
    if not isinstance(body.get("model"), str) or not body["model"]:
        return errors.bad_request("you must provide a model parameter")
    if body.get("stream"):
        return errors.bad_request("Streaming is not part of this sandbox.", "stream", "unsupported_value")
    messages = body.get("messages")
    if not isinstance(messages, list):
        return errors.missing("messages")
    if not messages:
        text = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty "
        return errors.bad_request(text + "array instead.", "messages", "empty_array")
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else []:
            if isinstance(part, dict) and part.get("type") == "image_url" and not _picture(part):
                return errors.bad_request("Invalid image URL.", "messages", "invalid_image_url")
    return effort_problem(body["model"], body.get("reasoning_effort"))


def _picture(part: dict[str, Any]) -> bool:
    url = part["image_url"].get("url") if isinstance(part.get("image_url"), dict) else None
    return isinstance(url, str) and url.startswith(("data:image/", "https://", "http://"))


def _form(body: dict[str, Any]) -> dict[str, Any] | None:
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") in (None, "text"):
        return None
    form = wanted.get("json_schema")
    return form if isinstance(form, dict) else {}


def _completion(body: dict[str, Any], answer: Answer, created: int) -> dict[str, Any]:
    asked = count_tokens(body["messages"])
    said = count_tokens(answer.content or answer.refusal or "") + answer.thought
    message = {"role": "assistant", "content": answer.content, "refusal": answer.refusal}
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
            "completion_tokens_details": {"reasoning_tokens": answer.thought},
        },
    }


def texts_of(messages: list[Any]) -> list[str]:
    """All texts a person wrote, in order; system texts only if there are none."""
    by_role: dict[bool, list[str]] = {True: [], False: []}
    for message in messages:
        if isinstance(message, dict):
            by_role[message.get("role") == "user"] += _parts(message.get("content"))
    return by_role[True] or by_role[False]


def compose(texts: list[str], form: dict[str, Any] | None, fault: Fault | None) -> Answer:
    """An answer in `form` `{"name", "schema"}`, or prose. Raises SchemaError."""
    product = product_of(texts)
    if form is None:
        content = text_for("prompt", product)
    else:
        check_strict(str(form.get("name")), form.get("schema"))
        content = json.dumps(fill(form["schema"], product), ensure_ascii=False)
    match fault.name if fault is not None else "":
        case "refusal":
            return Answer(None, _REFUSAL, "stop")
        case "invalid_json":
            return Answer("Sure! Here is your prompt: {'prompt': " + content[:60], None, "stop")
        case "truncated":
            return Answer(content[: len(content) // 2], None, "length")
        case "half_filled":
            return Answer(content[: content.rfind(",")] + "}", None, "stop")
        case "content_filter":
            return Answer("", None, "content_filter")
    return Answer(content, None, "stop")


def capped(answer: Answer, thought: int, cap: Any) -> Answer:
    """Cut the answer at a cap in tokens, hidden ones included; None is no cap."""
    if not isinstance(cap, int) or answer.content is None:
        return replace(answer, thought=thought)
    if thought + count_tokens(answer.content) <= cap:
        return replace(answer, thought=thought)
    said = answer.content[: max(0, cap - thought) * _TOKEN_CHARS]
    return replace(answer, content=said, finish="length", thought=min(thought, cap))


def digest(prefix: str, *parts: Any) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    return prefix + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:29]


def count_tokens(messages: Any) -> int:
    """About four characters a token; a picture costs the same whatever its size."""
    if isinstance(messages, str):
        return (
            _PICTURE_TOKENS if messages.startswith(("data:", "http")) else -(-len(messages) // _TOKEN_CHARS)
        )
    if isinstance(messages, dict):
        return sum(count_tokens(value) for value in messages.values())
    return sum(count_tokens(item) for item in messages) if isinstance(messages, list) else 0


def _parts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return [text for text in texts if isinstance(text, str)]
