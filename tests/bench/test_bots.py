"""One bot and three, in alternating rounds of an open loop: what people wait for an answer.

`BOTS_ROUNDS`, `BOTS_SECONDS` and `BOTS_PER_S` make it longer or harder; with `BOTS_MODE=webhook` Telegram
sends the updates.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from services.local.processes import free_port
from services.rehearsal.chat_client import Sandbox, open_http
from tests.support import servers
from tests.support.services import ServiceProcess, Services, services_in

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

ROUNDS: Final = int(os.environ.get("BOTS_ROUNDS", "5"))
SECONDS: Final = float(os.environ.get("BOTS_SECONDS", "15"))
PER_S: Final = float(os.environ.get("BOTS_PER_S", "20"))
MODE: Final = os.environ.get("BOTS_MODE", "polling")
PEOPLE: Final = 100
PATIENCE_S: Final = 120.0


@pytest.fixture
def services(postgres: servers.SessionPostgres, tmp_path: Path) -> Iterator[Services]:
    with postgres.database() as database_url, servers.own_valkey(tmp_path, durable=True) as valkey:
        env = {"DATABASE_URL": database_url, "REDIS_URL": valkey.url(), "LOG_FORMAT": "json"}
        env |= {"BOT_MODE": MODE, "BOT_WEBHOOK_SECRET": "shown-with-each-update"}
        env |= {"WEB_PORT": str(free_port("127.0.0.1")), "CALLBACK_SECRET": "of-others-than-telegram"}
        with services_in(tmp_path, env) as running:
            sandbox = running.start("sandbox", SANDBOX_PORT=0)
            running.env["SANDBOX_URL"] = sandbox.facts["sandbox_url"]
            running.start("web")
            running.start("bot")
            yield running


async def test_three_bots_answer_as_quickly_as_one(services: Services) -> None:
    waits: dict[int, list[float]] = {1: [], 3: []}
    loads = []
    async with open_http(90) as http:
        sandbox = Sandbox(http, services.env["SANDBOX_URL"])
        await round_of(sandbox, 0)  # nobody is cold
        for number in range(2 * ROUNDS):
            bots = 1 if number % 2 == 0 else 3
            with beside(services, bots - 1):
                waits[bots] += await round_of(sandbox, number + 1)
            loads.append(os.getloadavg()[0])
    told = {
        bots: tuple(percentile(seen, share) for share in (0.5, 0.95, 0.99)) for bots, seen in waits.items()
    }
    lines = [
        f"{bots} bots, {len(waits[bots])} answers: " + ", ".join(f"{s * 1000:.0f} ms" for s in told[bots])
        for bots in told
    ]
    ratio = told[3][1] / told[1][1]
    where = f"{MODE}, {PER_S:g}/s, {ROUNDS} rounds each, load averages {min(loads):.1f} to {max(loads):.1f}"
    lines.append(f"p50, p95, p99; p95 of three is {ratio:.2f} of one's ({where})")
    sys.stdout.write("\n" + "\n".join(lines) + "\n")


@contextlib.contextmanager
def beside(services: Services, others: int) -> Iterator[None]:
    bots: list[ServiceProcess] = [services.start("bot", name=f"bot-{n}") for n in range(others)]
    try:
        yield
    finally:
        for bot in bots:
            bot.stop()


async def round_of(sandbox: Sandbox, number: int) -> list[float]:
    """Everybody asks in turn, whoever is still waiting; seconds until the chat shows the answer."""

    async def ask(n: int) -> float:
        chat = sandbox.chat(900_000 + number * PEOPLE + n % PEOPLE + (n // PEOPLE) * 100_000)
        await asyncio.sleep(n / PER_S)
        at = time.monotonic()
        await chat.say("/privacy")
        await chat.until(lambda chat: chat.from_bot(), PATIENCE_S, "an answer")
        return time.monotonic() - at

    return await asyncio.gather(*(ask(n) for n in range(int(PER_S * SECONDS))))


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]
