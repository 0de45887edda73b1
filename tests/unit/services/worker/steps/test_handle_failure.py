"""What is kept of a failure: all of its facts, and nothing that the seller wrote."""

import asyncio
import json
import re
from types import SimpleNamespace
from typing import Any

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from events.job import Failure, JobQueued, PromptWritten
from ledger.jobs.state import JobState
from services.accounts.personal_data import Brief
from services.adapters.kie.envelope import parse_record, parse_reply
from services.worker.steps.handle_failure import deadline_failure, scrub_failure
from tests.support.each import each

CALLBACK = "https://cards.example/webhooks/kie/j1/1/0123456789abcdef0123456789abcdef"
KEY = "5e" * 16
TOKEN = "123456789:AAE" + "x9_" * 12
QUEUED = JobQueued("a", "o", 1, 1, 1, "m", "ugc", "p", "b", "ru", 1000)


def run_of(brief: Brief | None, prompt: str | None) -> Any:
    """As much of a run as scrubbing needs."""

    async def read_brief(ref: str) -> Brief | None:
        return brief

    async def read_prompt() -> str | None:
        return prompt

    state = JobState(account="a", queued=QUEUED, prompt=PromptWritten(1, "t", "openai", "ugc@1"))
    context = SimpleNamespace(store=SimpleNamespace(brief=read_brief))
    return SimpleNamespace(state=state, context=context, read_prompt=read_prompt, prompt_text=None)


def runs_of(text: str) -> set[tuple[str, ...]]:
    words = [word.casefold() for word in re.findall(r"\w+", text)]
    return {tuple(words[at : at + 3]) for at in range(len(words) - 2)}


words = st.text("abcdefKLMNOPклёйбвгдЖЗИ0123éß", min_size=2, max_size=8)
written = st.lists(words, min_size=3, max_size=12).map(" ".join)


def echoes(text: str) -> list[Failure]:
    """The provider's ways to repeat what it was sent."""
    param = json.dumps({"callBackUrl": CALLBACK, "input": {"prompt": text}})
    said = f"Your prompt '{text}' was flagged; {CALLBACK} Bearer {KEY} bot{TOKEN}"
    replies = [
        (200, json.dumps({"code": 500, "msg": said, "data": {"param": param}})),
        (200, json.dumps({"code": 422, "msg": said}, ensure_ascii=False)),
        (502, f"<html><p>{said}</p></html>"),
        (200, json.dumps({"data": {"param": param}, "msg": said})[:-9]),
    ]
    found = []
    for status, body in replies:
        reply = parse_reply(status, httpx.Headers(), body.encode())
        found.append(reply.failure() if reply.enveloped else reply.unusable)
    data = {"state": "fail", "failCode": "500", "failMsg": said, "param": param}
    record = parse_record(data)
    assert record.failure is not None
    return [*found, record.failure]


@settings(max_examples=30)
@given(written, written, written)
def test_nothing_of_the_seller_and_no_secret_is_kept(product: str, wishes: str, prompt: str) -> None:
    own = runs_of(product) | runs_of(wishes) | runs_of(prompt)
    for text in (product, wishes, prompt, f"{prompt} {wishes}"):
        for failure in echoes(text):
            kept = asyncio.run(scrub_failure(run_of(Brief(product, wishes), prompt), failure))
            for said in (kept.message, kept.raw):
                assert not runs_of(said) & own
                assert not re.search(f"{KEY}|AAE|webhooks|://|0123456789abcdef", said)
                assert len(said) <= 500


@each(("brief", "prompt"), [(None, "a prompt"), (Brief("a cup", ""), None), (None, None)])
async def test_when_the_texts_are_gone_nothing_of_the_outside_is_kept(
    brief: Brief | None, prompt: str | None
) -> None:
    failure = Failure("transient", "500", "about a red cup", 2, "t2", '{"msg":"about a red cup"}')
    kept = await scrub_failure(run_of(brief, prompt), failure)
    assert kept == Failure("transient", "500", "", 2, "t2", "")


async def test_the_prompt_is_not_kept_for_later() -> None:
    """It may be erased before the next submission."""
    run = run_of(Brief("a cup", ""), "a prompt")
    await scrub_failure(run, Failure("transient", "500", "words"))
    assert run.prompt_text is None


def test_a_timeout_says_what_was_heard_before() -> None:
    heard = Failure("transient", "502", "HTTP 502, not the expected JSON", 1, "", "502 Bad Gateway")
    assert deadline_failure("no_result", None).message == "the deadline has passed"
    failure = deadline_failure("no_result", heard)
    assert (failure.error_class, failure.code, failure.raw) == ("timeout", "no_result", "502 Bad Gateway")
    assert "transient 502 HTTP 502" in failure.message
