"""What both answering endpoints share: reading the messages, making up the content, spoiling it on demand."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from services.sandbox.context import Fault
from services.sandbox.openai.schema import check_strict, fill
from services.sandbox.openai.script_texts import product_of, text_for

_REFUSAL = "I'm sorry, but I can't help with that request."
_PICTURE_TOKENS = 85
_TOKEN_CHARS = 4


@dataclass(frozen=True)
class Answer:
    """`finish` is stop, length or content_filter; `refusal` is set instead of `content`.

    `thought`: hidden tokens that came before it.
    """

    content: str | None
    refusal: str | None
    finish: str
    thought: int = 0


def texts_of(messages: list[Any]) -> list[str]:
    """The text of all messages that a person wrote, in order; system texts only if there is nothing else."""
    by_role: dict[bool, list[str]] = {True: [], False: []}
    for message in messages:
        if isinstance(message, dict):
            by_role[message.get("role") == "user"] += _parts(message.get("content"))
    return by_role[True] or by_role[False]


def compose(texts: list[str], form: dict[str, Any] | None, fault: Fault | None) -> Answer:
    """An answer in the wanted form: `{"name", "schema", "strict"}`, or prose for None.

    Raises SchemaError when the form is strict and its schema is not allowed.
    """
    product = product_of(texts)
    if form is None:
        content = text_for("prompt", product)
    else:
        schema = form.get("schema")
        if form.get("strict"):
            check_strict(str(form.get("name")), schema)
        content = json.dumps(fill(schema if isinstance(schema, dict) else {}, product), ensure_ascii=False)
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
    """The answer as far as a cap in tokens lets it come after so many hidden ones; None is no cap."""
    if not isinstance(cap, int) or answer.content is None:
        return replace(answer, thought=thought)
    if thought + count_tokens(answer.content) <= cap:
        return replace(answer, thought=thought)
    said = answer.content[: max(0, cap - thought) * _TOKEN_CHARS]
    return replace(answer, content=said, finish="length", thought=min(thought, cap))


def digest(prefix: str, *parts: Any) -> str:
    """An id that is the same for the same request."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return prefix + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:29]


def count_tokens(messages: Any) -> int:
    """Roughly four characters a token; a picture costs the same whatever its size."""
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
