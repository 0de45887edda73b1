"""What leads to nothing is counted and said in one line, without a word of what was in it."""

import json
from typing import Any

import pytest
from aiogram.methods import AnswerPreCheckoutQuery
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from services.bot.inbox import StoredUpdate
from services.bot.update_handler import UpdateHandler
from tests.support.bot_session import TEXTS, memory_shop
from tests.support.each import each
from tests.unit.services.bot.handlers.test_all import CHAT, USER, Desk

GROUP = {"id": -100, "type": "supergroup", "title": "secret group"}
TEXT = {"message_id": 1, "date": 1, "from": USER, "text": "secret words"}
TAPPED = {"id": "1", "from": USER, "chat_instance": "1", "data": "x", "message": TEXT | {"chat": GROUP}}


def count(kind: str, reason: str) -> float:
    labels = {"kind": kind, "reason": reason}
    return REGISTRY.get_sample_value("neurocards_updates_dropped_total", labels) or 0


@each(
    ("event", "body", "kind", "reason"),
    [
        ("message", TEXT | {"chat": GROUP}, "message", "not_private"),
        ("message", TEXT | {"chat": CHAT, "from": USER | {"is_bot": True}}, "message", "no_person"),
        ("callback_query", TAPPED, "callback_query", "not_private"),
        ("edited_message", TEXT | {"chat": GROUP, "edit_date": 2}, "edited_message", "not_private"),
        (
            "poll_answer",
            {"poll_id": "1", "user": USER, "option_ids": [0], "option_persistent_ids": []},
            "poll_answer",
            "unhandled",
        ),
        ("of_a_later_year", {"secret": "secret words"}, "unknown", "unhandled"),
    ],
)
async def test_what_leads_to_nothing_is_said(
    event: str, body: dict[str, Any], kind: str, reason: str
) -> None:
    desk = Desk(memory_shop())
    await desk.accepted()
    before = count(kind, reason)
    stored = StoredUpdate(1, 5, 5, json.dumps({"update_id": 1, event: body}))
    with capture_logs() as lines:
        await UpdateHandler(desk.bot, desk.dispatcher, TEXTS).handle(stored)
    assert count(kind, reason) == before + 1
    dropped = [line for line in lines if line["event"] == "update_dropped"]
    assert [(line["kind"], line["reason"]) for line in dropped] == [(kind, reason)]
    assert "secret" not in json.dumps(lines) and desk.session.calls == []


async def test_a_service_message_is_said_too() -> None:
    desk = Desk(memory_shop())
    await desk.accepted()
    before = count("message", "service")
    pinned = {"message_id": 2, "date": 1, "chat": CHAT, "from": USER, "delete_chat_photo": True}
    await desk.feed(message=pinned)
    assert count("message", "service") == before + 1


async def test_before_paying_somebody_is_answered_while_redis_is_away() -> None:
    desk = Desk(memory_shop())
    await desk.accepted()

    async def away(*_: Any, **__: Any) -> None:
        raise ConnectionError("Redis is away")

    desk.storage.get_state = desk.storage.get_data = away  # type: ignore[assignment,method-assign]
    asked = {"id": "q", "from": USER, "currency": "XTR", "total_amount": 5, "invoice_payload": "nothing"}
    await desk.feed(pre_checkout_query=asked)
    (answer,) = desk.session.of(AnswerPreCheckoutQuery)
    assert (answer.pre_checkout_query_id, answer.ok) == ("q", False)
    with pytest.raises(ConnectionError):
        await desk.say("hello")
