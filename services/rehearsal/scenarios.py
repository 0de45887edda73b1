"""Scenarios of the demo, as data: faults, kills, and what may come of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from services.generation.catalogue import load_catalogue

Outcome = Literal["video", "refund"]


class Injected(msgspec.Struct, frozen=True):
    """A fault of the sandbox for this cycle's calls only.

    `word` of the call's context holds the product's name (`prompt`) or the seller's chat id (`chat`).
    `model`: only calls for this one. `times` None: always.
    """

    api: str
    call: str
    fault: str
    word: Literal["prompt", "chat"] = "prompt"
    model: str = ""
    times: int | None = None
    after: int = 0
    args: dict[str, Any] = {}

    def rule(self, product: str, chat_id: int) -> dict[str, Any]:
        words = {"prompt": product, "chat": str(chat_id)}
        return {
            "api": self.api,
            "call": self.call,
            "fault": self.fault,
            "times": self.times,
            "after": self.after,
            "match": {self.word: words[self.word]} | ({"model": self.model} if self.model else {}),
            "args": self.args,
        }


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of cycle.

    `injected` says in words what goes wrong. `kill_after`: a worker is killed with SIGKILL once the job has
    come to one of these events. `leaves`: what the log must show (type and data of an event), so that a fault
    that never happened is noticed. `doubles`: the seller may be sent a final message once more.
    """

    name: str
    injected: str
    expected: Outcome = "video"
    faults: tuple[Injected, ...] = ()
    videos: int = 1
    taps: int = 1
    kill_after: tuple[str, ...] = ()
    error_class: str = ""
    leaves: str = ""
    doubles: bool = False


def _kie(fault: str, *, times: int | None = None, after: int = 0, call: str = "createTask") -> Injected:
    return Injected("kie", call, fault, times=times, after=after)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(name="success", injected="nothing"),
    Scenario(
        name="policy",
        injected="the provider's content policy refuses",
        expected="refund",
        faults=(_kie("policy"),),
        error_class="user_violation",
    ),
    Scenario(
        name="transient",
        injected="provider down twice, then well",
        faults=(
            _kie("server_error", times=1),
            _kie("rate_limited", times=1),
            _kie("html_502", times=1, call="recordInfo"),
        ),
        leaves='"submission":2,"failure"',
    ),
    Scenario(
        name="paused",
        injected="the model is paused, another one takes over",
        faults=(Injected("kie", "createTask", "paused", model=load_catalogue().default_slug),),
        leaves='"error_class":"model_paused"',
    ),
    Scenario(
        name="no balance",
        injected="our balance at the provider is used up",
        expected="refund",
        faults=(_kie("no_balance"),),
        error_class="provider_balance",
    ),
    Scenario(
        name="never finishes",
        injected="the task never finishes",
        expected="refund",
        faults=(_kie("never_finishes"),),
        error_class="timeout",
    ),
    Scenario(
        name="no quota",
        injected="OpenAI's quota is used up",
        faults=(Injected("openai", "*", "quota"),),
        leaves='"source":"fallback"',
    ),
    Scenario(
        name="worker killed",
        injected="SIGKILL of a worker in mid-job",
        kill_after=("JobStarted", "PromptWritten", "SubmissionIntended", "SubmissionAccepted"),
    ),
    Scenario(name="several videos", injected="three videos in one order", videos=3),
    Scenario(name="double tap", injected="the order's button is tapped three times", taps=3),
    Scenario(
        name="answer lost",
        injected="the answer to the task's creation is lost",
        faults=(_kie("drop_after_accept", times=1),),
    ),
    Scenario(
        name="send timed out",
        injected="Telegram's answer to the video is lost",
        faults=(Injected("telegram", "sendVideo", "drop_after", word="chat", times=1),),
        doubles=True,
    ),
)

_OTHERS = ("success", "transient", "worker killed")
"""Played again when there are more cycles than kinds: what should happen most, and what is hardest."""


def mix(cycles: int, dice: random.Random) -> list[Scenario]:
    """Shuffled scenarios; every kind is there when there are enough."""
    by_name = {scenario.name: scenario for scenario in SCENARIOS}
    chosen: list[Scenario] = []
    while len(chosen) < cycles:
        kinds: Sequence[Scenario] = SCENARIOS if not chosen else [by_name[name] for name in _OTHERS]
        chosen += dice.sample(kinds, min(len(kinds), cycles - len(chosen)))
    dice.shuffle(chosen)
    return chosen


# What was played in one cycle, and what came of it.


class Cycle(msgspec.Struct):
    """One cycle, filled in as it goes on. Credits are as the chat shows them."""

    number: int
    scenario: Scenario
    user_id: int
    product: str
    note: str = ""
    """What was done beyond the sandbox's faults, e.g. which process was killed after which event."""
    order: str = ""
    jobs: list[str] = []
    videos: int = 0
    """Final messages with a video."""
    refusals: int = 0
    """Final messages that say why there is none."""
    before: int | None = None
    after: int | None = None
    seconds: float = 0.0
    disturbed: bool = False
    """A worker was killed meanwhile, whichever cycle it was meant for."""
    problems: list[str] = []

    @property
    def outcome(self) -> str:
        if self.problems:
            return "FAILED"
        parts = [_count(self.videos, "video"), _count(self.refusals, "refund")]
        return ", ".join(part for part in parts if part) or "nothing"


def _count(number: int, word: str) -> str:
    return "" if number == 0 else word if number == 1 else f"{number} {word}s"
