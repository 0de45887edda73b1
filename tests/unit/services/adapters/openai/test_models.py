"""Which of OpenAI's models think, and when those in use leave the API: asked, measured, warned of."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from services.adapters.openai.client import open_client
from services.adapters.openai.errors import OpenAINoAnswerError
from services.adapters.openai.metrics import MODEL_END
from services.adapters.openai.models import ModelEnds, can_leave_off_thinking, end_of
from services.cli.doctor.companies import check_models, judge_model_end
from services.platform.settings import Settings, load_settings
from tests.support.each import each

TODAY = date(2026, 11, 30)
THINK = (
    "gpt-6-luna",
    "gpt-5.1",
    "gpt-5.4-nano-2026-03-01",
    "gpt-10",
    "ft:gpt-6-luna:org::1",
    "openai/gpt-6-luna",
)
DO_NOT = ("gpt-4o-mini", "gpt-4.1", "gpt-4o-2024-08-06", "gpt-35-turbo", "gpt-5", "gpt-5-mini",
          "gpt-5.1-chat-latest", "o3", "llama-3.6", "my-gpt-6-luna-like")  # fmt: skip


def test_only_models_that_take_it_are_told_not_to_think() -> None:
    assert [model for model in (*THINK, *DO_NOT) if can_leave_off_thinking(model)] == list(THINK)


async def test_the_sandbox_knows_what_openai_has_announced(settings: Settings) -> None:
    async with open_client(settings) as client:
        assert await end_of(client, "gpt-4o-mini", TODAY) == date(2027, 1, 14)
        assert await end_of(client, settings.openai_model, TODAY) is None
        assert await end_of(client, settings.openai_moderation_model, TODAY) is None
        assert await end_of(client, "gpt-gone", TODAY) == TODAY


async def test_while_it_is_the_sandbox_the_doctor_does_not_even_load_its_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "services.adapters.openai.client", None)
    assert await check_models(load_settings()) == []


ANSWERS: dict[str, Callable[[], web.Response]] = {
    "another path": lambda: web.json_response({"detail": "Not Found"}, status=404),
    "a page": lambda: web.Response(text="<html>", content_type="text/html"),
    "no key": lambda: web.json_response({"error": {"code": "invalid_api_key"}}, status=401),
    "another date": lambda: web.json_response({"id": "m", "object": "model", "shutdown_date": "soon"}),
    "a number": lambda: web.json_response({"id": "m", "object": "model", "shutdown_date": 17}),
}


@asynccontextmanager
async def answering(answer: Callable[[], web.Response]) -> AsyncIterator[Settings]:
    """Settings that lead to a company that answers so."""

    async def respond(request: web.Request) -> web.Response:
        return answer()

    app = web.Application()
    app.router.add_get("/models/{model}", respond)
    server = TestServer(app)
    await server.start_server()
    yield load_settings(openai_base_url=str(server.make_url("")), openai_api_key="sk-test", openai_model="m")
    await server.close()


@each("answer", ANSWERS.values())
async def test_what_does_not_tell_is_no_end(answer: Callable[[], web.Response]) -> None:
    async with answering(answer) as settings, open_client(settings) as client:
        with pytest.raises(OpenAINoAnswerError):
            await end_of(client, "m", TODAY)


async def test_the_day_is_measured_and_warned_of_and_kept_when_openai_does_not_answer() -> None:
    end = datetime.now(UTC).date() + timedelta(days=45)
    said: dict[str, str | None] = {"id": "m", "object": "model", "shutdown_date": str(end)}
    status = 200
    async with answering(lambda: web.json_response(said, status=status)) as settings:
        ends = ModelEnds(settings.replace(moderation="off"))
        with capture_logs() as logs:
            await ends.measure()
        assert [(log["event"], log["model"], log["on"]) for log in logs] == [
            ("openai_model_ends", "m", str(end))
        ]
        midnight = datetime(end.year, end.month, end.day, tzinfo=UTC).timestamp()
        assert MODEL_END.labels("m")._value.get() == midnight
        status = 401
        await ends.measure()
        assert MODEL_END.labels("m")._value.get() == midnight
        said["shutdown_date"], status = None, 200
        await ends.measure()
        assert MODEL_END.labels("m")._value.get() == 0
        await ends.close()


@each(
    ("end", "state", "found"),
    [
        (None, "ok", "no end is announced"),
        (date(2027, 6, 1), "ok", "in 183 days"),
        (date(2027, 1, 14), "warn", "leaves OpenAI's API on 2027-01-14, in 45 days"),
        (TODAY, "fail", "is not there"),
        (date(2026, 9, 24), "fail", "is not there"),
    ],
)
def test_the_doctor_tells_the_days_and_what_to_set(end: date | None, state: str, found: str) -> None:
    check = judge_model_end("openai_model", "gpt-4o-mini", end, TODAY)
    assert (check.name, check.state) == ("OPENAI_MODEL", state)
    assert found in check.found
    assert ("set OPENAI_MODEL to the successor" in check.advice) == (state != "ok")
