"""The sandbox's models: when each leaves, and what thinking costs."""

from typing import Any

import openai
import pytest

MODEL = "gpt-4o-mini"
THINKS = "gpt-6-luna"
ASK: Any = [{"role": "user", "content": "Product: a blue enamel mug"}]


async def test_models_say_when_they_leave(client):
    ends = {model.id: model.shutdown_date async for model in client.models.list()}
    assert ends["gpt-4o-mini"] == "2027-01-14"
    assert ends[THINKS] is None is ends["omni-moderation-latest"]


async def test_a_model_that_thinks_spends_its_cap_on_it_unless_it_is_told_not_to(client):
    async def ask(**more: Any) -> Any:
        done = await client.chat.completions.create(model=THINKS, messages=ASK, **more)
        return done.choices[0], done.usage

    choice, usage = await ask(max_completion_tokens=1200)
    assert (choice.finish_reason, choice.message.content) == ("length", "")
    assert usage.completion_tokens == usage.completion_tokens_details.reasoning_tokens == 1200
    choice, usage = await ask(max_completion_tokens=1200, reasoning_effort="none")
    assert choice.finish_reason == "stop" and "enamel mug" in choice.message.content
    assert usage.completion_tokens_details.reasoning_tokens == 0
    choice, usage = await ask()
    assert choice.finish_reason == "stop" and usage.completion_tokens_details.reasoning_tokens > 1200


async def test_efforts_that_a_model_does_not_take(client):
    for model, effort in ((MODEL, "none"), (THINKS, "hardly")):
        with pytest.raises(openai.BadRequestError, match="reasoning_effort"):
            await client.chat.completions.create(model=model, messages=ASK, reasoning_effort=effort)
