"""`POST /v1/responses`, whole only: streaming is refused."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from services.sandbox.context import Context
from services.sandbox.openai import failures
from services.sandbox.openai.answers import Answer, capped, compose, count_tokens, digest, texts_of
from services.sandbox.openai.models import effort_problem, snapshot, thought_tokens
from services.sandbox.openai.schema import SchemaError


def routes(ctx: Context) -> list[web.RouteDef]:
    async def respond(request: web.Request) -> web.StreamResponse:
        body = await failures.json_object(request)
        asked = (body or {}).get("input")
        texts = [asked] if isinstance(asked, str) else texts_of(asked) if isinstance(asked, list) else []
        model = str((body or {}).get("model", ""))
        refused = await failures.refused(ctx, request, "responses", model=model, prompt="\n".join(texts))
        if isinstance(refused, web.Response):
            return refused
        if body is None:
            return failures.not_json()
        if not model:
            return failures.missing("model")
        if body.get("stream"):
            return failures.bad_request(
                "Streaming is not part of this sandbox.", "stream", "unsupported_value"
            )
        reasoning = body.get("reasoning")
        effort = reasoning.get("effort") if isinstance(reasoning, dict) else None
        if problem := effort_problem(model, effort):
            return problem
        try:
            answer = compose(texts, _form(body), refused)
            answer = capped(answer, thought_tokens(model, effort), body.get("max_output_tokens"))
        except SchemaError as error:
            return failures.bad_request(str(error), "text.format.schema", "invalid_json_schema")
        return failures.good(_response(body, answer, int(ctx.clock.now())))

    return [web.post("/v1/responses", respond)]


def _form(body: dict[str, Any]) -> dict[str, Any] | None:
    text = body.get("text")
    form = text.get("format") if isinstance(text, dict) else None
    if not isinstance(form, dict) or form.get("type") in (None, "text"):
        return None
    if form.get("type") == "json_object":
        return {"schema": {"type": "object", "properties": {"prompt": {"type": "string"}}}}
    return form


def _response(body: dict[str, Any], answer: Answer, created: int) -> dict[str, Any]:
    if answer.refusal is not None:
        content: dict[str, Any] = {"type": "refusal", "refusal": answer.refusal}
    else:
        content = {"type": "output_text", "text": answer.content, "annotations": [], "logprobs": []}
    reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
    reason = reasons.get(answer.finish)
    status = "completed" if reason is None else "incomplete"
    message = {"type": "message", "id": digest("msg_", body), "status": status, "role": "assistant"}
    asked = count_tokens(body.get("input"))
    said = count_tokens(answer.content or answer.refusal or "") + answer.thought
    return {
        "id": digest("resp_", body),
        "object": "response",
        "created_at": created,
        "status": status,
        "error": None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": snapshot(str(body["model"])),
        "output": [message | {"content": [content]}],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": asked,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": said,
            "output_tokens_details": {"reasoning_tokens": answer.thought},
            "total_tokens": asked + said,
        },
        "metadata": {},
    }
