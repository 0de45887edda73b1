"""What an event says of a failure: a class, a code, and where the words are; no word of the outside."""

import json
import re
from types import SimpleNamespace
from typing import Any

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from events.job import Failure
from ledger.jobs.state import JobState
from services.adapters.kie.envelope import parse_record, parse_reply
from services.adapters.kie.failures import KieFailure
from services.worker.steps.handle_failure import fail_at_deadline, keep_words

CALLBACK = "https://cards.example/webhooks/kie/j1/1/0123456789abcdef0123456789abcdef"
KEY = "5e" * 16
TOKEN = "123456789:AAE" + "x9_" * 12


class Run:
    """As much of a run as keeping words needs."""

    def __init__(self, ref: str = "ref-1") -> None:
        self.job, self.state, self.kept, self.commands = "j", JobState(account="a"), list[str](), list[Any]()
        self.trouble: KieFailure | None = None

        async def keep(account: str, words: str) -> str:
            self.kept.append(words)
            return ref

        timing = SimpleNamespace(refund_life_s=60)
        self.context = SimpleNamespace(store=SimpleNamespace(keep_words=keep), timing=timing)

    async def append(self, command: Any, key: str) -> bool:
        self.commands.append(command)
        return False


def echoes(text: str) -> list[KieFailure]:
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
    record = parse_record({"state": "fail", "failCode": said, "failMsg": said, "param": param})
    assert record.failure is not None
    return [*found, record.failure]


@settings(max_examples=30)
@given(st.text("abcdefKLMNOPклёйбвгдЖЗИ0123éß ", min_size=2, max_size=40))
async def test_no_secret_is_kept_and_no_word_gets_into_the_event(text: str) -> None:
    for said in echoes(text):
        run: Any = Run()
        failure = await keep_words(run, said)
        assert failure == Failure(said.error_class, said.code, ref="ref-1")
        assert re.fullmatch("[0-9]*", failure.code)
        (kept,) = run.kept
        assert not re.search(f"{KEY}|AAE|webhooks|://|0123456789abcdef", kept)
        assert len(kept) <= 1001


async def test_of_one_who_is_erased_and_of_nothing_said_there_is_no_reference() -> None:
    gone: Any = Run(ref="")
    assert await keep_words(gone, KieFailure("transient", "500", "words"), 2) == Failure(
        "transient", "500", 2
    )
    run: Any = Run()
    assert await keep_words(run, KieFailure("transient", "500")) == Failure("transient", "500")
    assert run.kept == []


async def test_a_timeout_keeps_what_was_heard_before() -> None:
    run: Any = Run()
    await fail_at_deadline(run, "no_result")
    assert run.commands.pop().failure == Failure("timeout", "no_result") and run.kept == []
    run.trouble = KieFailure("transient", "502", "HTTP 502, not the expected JSON", "502 Bad Gateway")
    await fail_at_deadline(run, "no_result")
    assert run.commands.pop().failure == Failure("timeout", "no_result", ref="ref-1")
    assert run.kept == ["before it: transient 502 HTTP 502, not the expected JSON\n502 Bad Gateway"]
