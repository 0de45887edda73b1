"""Five hundred people over ten minutes, each at their own pace, beside somebody who floods: open loop.

`CHAT_PEOPLE` and `CHAT_SECONDS` make it smaller. Telegram's real limits are kept by the product and counted
by the sandbox; nobody waits for anybody, so a slow bot is not spared.
"""

import asyncio
import os
import random
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from services.rehearsal.chat_client import Button, Chat, ChatError, Sandbox, open_http
from services.rehearsal.seller import ACCEPT_TERMS, ORDER, STYLE, STYLES, is_video, photo_of
from services.rehearsal.system import Stack
from tests.support.servers import short_folder

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

PEOPLE: Final = int(os.environ.get("CHAT_PEOPLE", "500"))
SECONDS: Final = float(os.environ.get("CHAT_SECONDS", "600"))
THINK_S: Final = (2.0, 8.0)
PATIENCE_S: Final = 240.0
FLOOD: Final = 2_000
FLOOD_PER_S: Final = 40
_BUCKET: Final = re.compile(
    r'neurocards_update_answer_seconds_bucket\{behind="(\w+)",le="([^"]+)"\} ([\d.e+]+)'
)


class Times:
    """When something was done, and how many seconds later the chat showed it."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []

    def told(self, name: str, since: float = 0, until: float = float("inf")) -> str:
        values = sorted(after for at, after in self.seen if since <= at < until)
        if not values:
            return f"{name}: nothing"
        p50, p95, p99 = (values[int(len(values) * share)] for share in (0.5, 0.95, 0.99))
        return f"{name}: {len(values)} acts, p50 {p50:.2f} s, p95 {p95:.2f} s, p99 {p99:.2f} s"


@pytest.fixture
async def stack() -> AsyncIterator[Stack]:
    with short_folder() as folder:
        async with Stack(folder, FREE_CREDITS=2, TELEGRAM_MESSAGES_PER_SECOND=25) as running:
            yield running


async def test_people_are_answered_beside_somebody_who_floods(stack: Stack) -> None:
    load = os.getloadavg()
    async with open_http(90) as http:
        sandbox = Sandbox(http, stack.sandbox_url)
        await sandbox.change(small_videos=True, telegram_rate=30, telegram_chat_rate=1, telegram_chat_burst=4)
        times = Times()
        people = [
            asyncio.create_task(person(sandbox.chat(800_000 + n), SECONDS * n / PEOPLE, times))
            for n in range(PEOPLE)
        ]
        began = time.monotonic()
        await asyncio.sleep(SECONDS / 3)
        flood_from = time.monotonic()
        await flood(sandbox.chat(799_999))
        flood_to = time.monotonic()
        problems = [problem for problem in await asyncio.gather(*people) if problem]
        health = stack.facts("bot")["health_url"]
        told = (await http.get(f"{health}/metrics")).text
        refused = (await http.get(f"{stack.sandbox_url}/__sandbox/book")).json()["telegram"]["refused"]
        cpu = {name: cpu_s(stack.pid(name)) for name in stack.names()}

    lines = [
        f"{PEOPLE} people over {SECONDS:g} s, done after {time.monotonic() - began:.0f} s; load {load}",
        f"first call after storing, {shares(told, 'nobody')}",
        f"the same behind an earlier message of one's own, {shares(told, 'own')}",
        times.told("what people saw"),
        times.told("beside the flood", flood_from, flood_to),
        f"CPU s: { {name: round(spent, 1) for name, spent in cpu.items()} }",
    ]
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert problems == []
    assert refused == 0, "Telegram's limits were exceeded"


async def person(chat: Chat, after_s: float, times: Times) -> str:
    """Come, accept, send a photo with a few words, order in three taps, and wait for the video."""
    dice = random.Random(chat.user_id)
    await asyncio.sleep(after_s)

    async def act(done: Any, sees: Callable[[Chat], Any]) -> Any:
        at = time.monotonic()
        await done
        found = await chat.until(sees, PATIENCE_S, "an answer")
        times.seen.append((at, time.monotonic() - at))
        await asyncio.sleep(dice.uniform(*THINK_S))
        return found

    def button(prefix: str) -> Callable[[Chat], Button | None]:
        return lambda chat: chat.button(prefix)

    try:
        accept = await act(chat.say("/start"), button(ACCEPT_TERMS))
        await act(chat.tap(accept), lambda chat: not chat.button(ACCEPT_TERMS))
        photo = photo_of((200, 40, 40), (30, 60, 190))
        styles = await act(chat.send_photo(photo, caption=f"A cup, number {chat.user_id}"), button(STYLES))
        style = await act(chat.tap(styles), button(f"{STYLE}ugc|"))
        create = await act(chat.tap(style), button(ORDER))
        await act(chat.tap(create), lambda chat: not chat.button(ORDER))
        await chat.until(lambda chat: any(map(is_video, chat.from_bot())), PATIENCE_S, "the video")
    except ChatError as error:
        return str(error)
    return ""


async def flood(chat: Chat) -> None:
    for at in range(0, FLOOD, FLOOD_PER_S):
        await asyncio.gather(*(chat.say(f"me first {at + n}") for n in range(FLOOD_PER_S)), asyncio.sleep(1))


def shares(metrics: str, behind: str) -> str:
    """How many updates waited behind that, and for each limit in seconds the share whose call left within it.
    Only who floods has many that wait behind their own."""
    counts = {limit: float(count) for of, limit, count in _BUCKET.findall(metrics) if of == behind}
    whole = counts.pop("+Inf", 0.0)
    within = {limit: f"{count / whole:.1%}" for limit, count in counts.items() if whole}
    p95 = next((limit for limit, count in counts.items() if count >= 0.95 * whole), "more")
    return f"{whole:.0f} updates, p95 within {p95} s, share within: {within}"


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
