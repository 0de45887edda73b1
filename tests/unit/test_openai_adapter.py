"""OpenAI's good and bad answers, over HTTP from the sandbox, and the one error they become."""

import base64
import io
from collections.abc import AsyncIterator

import pytest
from PIL import Image

from services.adapters import openai as adapter
from services.adapters.openai import Breaker, Reason, ScriptError, ScriptWriter, data_url
from services.sandbox import control, openai
from services.shared import prompts
from services.shared.settings import load_settings
from tests.support.outside import Outside, outside, photo

FRAME = prompts.Frame(5, 2500, people=False)


@pytest.fixture
async def sandbox() -> AsyncIterator[Outside]:
    async with outside({"/openai": openai.routes, "/__sandbox": control.routes}) as running:
        yield running


@pytest.fixture
async def writer(sandbox: Outside, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ScriptWriter]:
    monkeypatch.setattr(adapter, "TIMEOUT_S", 1.0)
    writer = ScriptWriter(load_settings(sandbox_url=sandbox.url))
    yield writer
    await writer.close()


async def write(writer: ScriptWriter, picture: bytes | None = None) -> prompts.Script:
    request = prompts.request("Кружка", "с паром")
    return await writer.write(prompts.instructions("ugc", FRAME), request, picture or photo())


async def test_a_script_comes_back_in_fields(writer: ScriptWriter) -> None:
    script = await write(writer)
    assert script.product and script.action
    assert script.action in prompts.compose("ugc", script, prompts.Frame(5, 20_000, people=False))


FAULTS: list[tuple[str, Reason]] = [
    ("quota", "quota"),
    ("bad_key", "auth"),
    ("region", "region"),
    ("rate_limit", "rate_limited"),
    ("server_error", "unavailable"),
    ("html_502", "unavailable"),
    ("hang", "timeout"),
    ("refusal", "refused"),
    ("content_filter", "refused"),
    ("invalid_json", "bad_answer"),
    ("truncated", "bad_answer"),
]


@pytest.mark.parametrize(("fault", "reason"), FAULTS)
async def test_every_trouble_is_one_error_with_a_reason(
    sandbox: Outside, writer: ScriptWriter, fault: str, reason: Reason
) -> None:
    sandbox.fault("openai", "chat", fault, times=None, args={"seconds": 0.1} if fault == "rate_limit" else {})
    with pytest.raises(ScriptError) as caught:
        await write(writer)
    assert caught.value.reason == reason
    assert len(caught.value.detail) <= 300


async def test_nobody_there(writer: ScriptWriter) -> None:
    gone = ScriptWriter(load_settings(sandbox_url="http://127.0.0.1:9"))
    with pytest.raises(ScriptError) as caught:
        await write(gone)
    assert caught.value.reason == "unavailable"
    await gone.close()


async def test_one_retry_gets_over_a_passing_error(sandbox: Outside, writer: ScriptWriter) -> None:
    sandbox.fault("openai", "chat", "server_error", times=1)
    assert (await write(writer)).action


async def test_a_photo_that_is_none(writer: ScriptWriter) -> None:
    with pytest.raises(ScriptError) as caught:
        await write(writer, b"not an image")
    assert caught.value.reason == "photo"


async def test_after_a_lasting_error_calls_are_spared_for_a_while(sandbox: Outside) -> None:
    now_s = 100.0
    writer = ScriptWriter(load_settings(sandbox_url=sandbox.url), Breaker(600, lambda: now_s))
    sandbox.fault("openai", "chat", "quota", times=2)  # one call and its retry
    for _ in range(2):  # the second would succeed, were it made
        with pytest.raises(ScriptError) as caught:
            await write(writer)
        assert caught.value.reason == "quota"
    now_s += 601
    assert (await write(writer)).action
    await writer.close()


def test_the_photo_is_sent_small() -> None:
    url = data_url(photo(3000, 2000, "PNG"))
    jpeg = base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))
    with Image.open(io.BytesIO(jpeg)) as image:
        assert (image.format, image.size) == ("JPEG", (1024, 683))
