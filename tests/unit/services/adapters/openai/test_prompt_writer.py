"""OpenAI's good and bad answers, over HTTP from the sandbox, and the one error they become."""

import base64
import io
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from services.adapters.openai.breaker import Breaker
from services.adapters.openai.client import data_url
from services.adapters.openai.errors import OpenAINoAnswerError, Reason
from services.adapters.openai.prompt_writer import ScriptWriter
from services.generation.prompts import scripts, templates
from services.generation.prompts.styles import load_styles
from services.platform.settings import Settings, load_settings
from services.sandbox.openai.models import MODELS
from tests.support.each import each
from tests.support.outside import Outside, photo
from tests.unit.services.adapters.openai.conftest import Calls

STYLES = tuple(load_styles())
FRAME = templates.Frame(5, 2500, people=False)


@pytest.fixture
async def writer(settings: Settings) -> AsyncIterator[ScriptWriter]:
    writer = ScriptWriter(settings)
    yield writer
    await writer.close()


async def write(writer: ScriptWriter, picture: bytes | None = None, style: str = "ugc") -> scripts.Script:
    request = scripts.request("Кружка", "с паром")
    return await writer.write(scripts.script_form(style, FRAME), request, picture or photo())


@each("style", STYLES)
async def test_a_script_comes_back_in_the_fields_of_its_style(writer: ScriptWriter, style: str) -> None:
    script = await write(writer, style=style)
    assert list(script) == [field.name for field in templates.template(style).fields]
    form = scripts.script_form(style, templates.Frame(5, 20_000, people=False))
    assert all(words in scripts.compose(form, script) for words in script.values())


@pytest.mark.parametrize("model", ["gpt-6-luna", "gpt-4o-mini"])
async def test_models_that_think_and_models_that_cannot_write_alike(
    settings: Settings, calls: Calls, model: str
) -> None:
    """Hidden thoughts count against the cap: left to think, a model is cut before the first word."""
    writer = ScriptWriter(settings.replace(openai_model=model))
    assert (await write(writer))["handling"]
    await writer.close()
    assert calls == ["chat/completions"]


def test_the_default_model_stays() -> None:
    assert MODELS[load_settings().openai_model].shutdown_date is None


# What happens, the reason it becomes, and how often OpenAI is called before we say so.
FAULTS: list[tuple[str, Reason, int]] = [
    ("quota", "quota", 2),
    ("bad_key", "auth", 1),
    ("region", "region", 1),
    ("no_model", "model", 1),
    ("bad_request", "bad_request", 1),
    ("policy", "refused", 1),
    ("rate_limit", "rate_limited", 2),
    ("server_error", "unavailable", 2),
    ("html_502", "unavailable", 2),
    ("html_200", "bad_answer", 1),
    ("hang", "timeout", 2),
    ("refusal", "refused", 1),
    ("content_filter", "refused", 1),
    ("invalid_json", "bad_answer", 1),
    ("truncated", "bad_answer", 1),
    ("half_filled", "bad_answer", 1),
]
OPENING = {"quota", "auth", "region", "model"}


@pytest.mark.parametrize(("fault", "reason", "number"), FAULTS, ids=[fault for fault, *_ in FAULTS])
async def test_every_trouble_is_one_error_with_a_reason(
    sandbox: Outside, settings: Settings, calls: Calls, fault: str, reason: Reason, number: int
) -> None:
    breaker = Breaker()
    soon = settings.replace(openai_timeout_seconds=1 if fault == "hang" else 30)
    writer = ScriptWriter(soon, breaker)
    sandbox.fault("openai", "chat", fault, times=None, args={"seconds": 0.1} if fault == "rate_limit" else {})
    with pytest.raises(OpenAINoAnswerError) as caught:
        await write(writer)
    await writer.close()
    assert caught.value.reason == reason
    assert len(caught.value.detail) <= 300 and "Кружка" not in caught.value.detail
    assert calls == ["chat/completions"] * number
    assert breaker.reason == (reason if reason in OPENING else None)


async def test_nobody_there(sandbox: Outside) -> None:
    breaker = Breaker()
    gone = ScriptWriter(load_settings(sandbox_url="http://127.0.0.1:9"), breaker)
    with pytest.raises(OpenAINoAnswerError) as caught:
        await write(gone)
    await gone.close()
    assert (caught.value.reason, breaker.reason) == ("unavailable", None)


async def test_one_retry_gets_over_a_passing_error(
    sandbox: Outside, writer: ScriptWriter, calls: Calls
) -> None:
    sandbox.fault("openai", "chat", "server_error", times=1)
    assert (await write(writer))["handling"]
    assert len(calls) == 2


async def test_a_photo_that_is_none_costs_no_call(writer: ScriptWriter, calls: Calls) -> None:
    with pytest.raises(OpenAINoAnswerError) as caught:
        await write(writer, b"not an image")
    assert (caught.value.reason, calls) == ("photo", [])


async def test_after_a_lasting_error_calls_are_spared_until_a_probe_succeeds(
    sandbox: Outside, settings: Settings, calls: Calls
) -> None:
    now_s = 100.0
    writer = ScriptWriter(settings, Breaker(lambda: now_s))
    sandbox.fault("openai", "chat", "quota", times=2)  # one call and its retry
    for _ in range(3):  # the second would succeed, were it made
        with pytest.raises(OpenAINoAnswerError) as caught:
            await write(writer)
        assert caught.value.reason == "quota"
    assert len(calls) == 2
    now_s += 601
    assert (await write(writer))["handling"]
    await writer.close()


async def test_the_proxy_of_the_settings_is_the_way_and_the_environments_is_not(
    settings: Settings, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's proxy, where nobody listens, would fail every call."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    asked: list[tuple[str, str]] = []

    async def forward(request: web.Request) -> web.Response:
        asked.append((str(request.url), request.headers.get("Proxy-Authorization", "")))
        return web.Response(status=502, text="<html>")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", forward)
    server = TestServer(app)
    await server.start_server()
    address = f"http://u:secret@127.0.0.1:{server.port}"
    straight, through = ScriptWriter(settings), ScriptWriter(settings.replace(openai_proxy=address))
    try:
        assert (await write(straight))["handling"] and len(calls) == 1
        with pytest.raises(OpenAINoAnswerError, match="unavailable"):
            await write(through)
    finally:
        await straight.close()
        await through.close()
        await server.close()
    assert len(calls) == 1 and len(asked) == 2, "once, and once more"
    assert asked[0][1] == "Basic " + base64.b64encode(b"u:secret").decode()


def test_the_photo_is_sent_small() -> None:
    url = data_url(photo(3000, 2000, "PNG"))
    jpeg = base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))
    with Image.open(io.BytesIO(jpeg)) as image:
        assert (image.format, image.size) == ("JPEG", (1024, 683))
