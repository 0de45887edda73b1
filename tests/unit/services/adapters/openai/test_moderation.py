"""Judging texts and photos over HTTP, with the real SDK."""

import io
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from services.adapters.openai import moderation
from services.adapters.openai.breaker import Breaker
from services.adapters.openai.errors import OpenAINoAnswerError, Reason
from services.adapters.openai.moderation import Moderator
from services.platform.settings import Settings, load_settings
from tests.support.each import each
from tests.support.outside import Outside, photo
from tests.unit.services.adapters.openai.conftest import Calls

WORD = "flagged-by-moderation"


def painted(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (640, 480), colour).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
async def moderator(settings: Settings) -> AsyncIterator[Moderator]:
    moderator = Moderator(settings)
    yield moderator
    await moderator.close()


async def test_each_text_has_its_own_verdict_in_one_call(moderator: Moderator, calls: Calls) -> None:
    texts = ["a mug", f"a knife {WORD}", f"{WORD}:sexual/minors", f"{WORD}:hate/threatening, too", ""]
    assert await moderator.texts(texts) == [(), ("violence",), ("minors",), ("violence",), ()]
    assert calls == ["moderations"]
    assert await moderator.texts([f"{WORD}:hate/threatening"]) == [("hate",)]


async def test_photos(moderator: Moderator) -> None:
    assert await moderator.photo(photo()) == ()
    assert await moderator.photo(painted("#ff10f0")) == ("violence",)


FAULTS: list[tuple[str, Reason, int]] = [
    ("quota", "quota", 2),
    ("bad_key", "auth", 1),
    ("region", "region", 1),
    ("no_model", "model", 1),
    ("rate_limit", "rate_limited", 2),
    ("server_error", "unavailable", 2),
    ("html_502", "unavailable", 2),
    ("html_200", "bad_answer", 1),
    ("hang", "timeout", 1),
]


@pytest.mark.parametrize(("fault", "reason", "number"), FAULTS, ids=[fault for fault, *_ in FAULTS])
async def test_trouble_is_an_error_with_a_reason(
    sandbox: Outside,
    settings: Settings,
    calls: Calls,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    reason: Reason,
    number: int,
) -> None:
    monkeypatch.setattr(moderation, "WITHIN_S", 0.8 if fault == "hang" else 30)
    breaker = Breaker()
    moderator = Moderator(settings, breaker)
    args = {"seconds": 0.1} if fault == "rate_limit" else {}
    sandbox.fault("openai", "moderations", fault, times=None, args=args)
    with pytest.raises(OpenAINoAnswerError) as caught:
        await moderator.texts(["кружка"])
    assert (caught.value.reason, len(calls)) == (reason, number)
    opens = reason in ("quota", "auth", "region", "model")
    with pytest.raises(OpenAINoAnswerError, match="in vain" if opens else reason):
        await moderator.photo(photo())
    assert len(calls) == (number if opens else 2 * number), "the breaker spares photos as well"
    await moderator.close()


SHAPES = {
    "no results": {"id": "m", "model": "m"},
    "too few": {"id": "m", "model": "m", "results": []},
    "no object": {"id": "m", "model": "m", "results": ["flagged"]},
    "no flag": {"id": "m", "model": "m", "results": [{"categories": {}}]},
    "another flag": {"id": "m", "model": "m", "results": [{"flagged": "yes"}]},
}


async def answered(body: object) -> list[moderation.Kinds]:
    """What becomes of an answer of this shape."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(body)

    app = web.Application()
    app.router.add_post("/moderations", answer)
    server = TestServer(app)
    await server.start_server()
    moderator = Moderator(load_settings(openai_base_url=str(server.make_url("")), openai_api_key="sk-test"))
    try:
        return await moderator.texts(["a mug"])
    finally:
        await moderator.close()
        await server.close()


@each("body", SHAPES.values())
async def test_an_answer_of_another_shape_is_no_verdict(body: object) -> None:
    with pytest.raises(OpenAINoAnswerError) as caught:
        await answered(body)
    assert caught.value.reason == "bad_answer"


async def test_a_category_of_tomorrow_is_still_a_flag() -> None:
    flagged = {"flagged": True, "categories": {"something/new": True, "violence": False}}
    assert await answered({"id": "m", "model": "m", "results": [flagged]}) == [("other",)]
    assert await answered({"id": "m", "model": "m", "results": [{"flagged": True}]}) == [("other",)]
    assert await answered({"id": "m", "model": "m", "results": [{"flagged": False}]}) == [()]
