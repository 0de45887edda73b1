"""Three bots as processes: each answers, and the chats of a killed or frozen one are taken over."""

import asyncio
import signal
from collections.abc import Iterator

import httpx
import pytest

from services.local.valkey import EmbeddedValkey
from services.rehearsal.chat_client import open_http
from tests.integration.services.bot.people import BotWorld, Visitor, running_bot
from tests.support import servers
from tests.support.services import ServiceProcess
from tests.support.waiting import PATIENCE_S, eventually

QUESTION = "/privacy"
ANSWER, TERMS = "Your data", "Hello! I am NeuroCards"


@pytest.fixture(scope="module")
def world(
    postgres: servers.SessionPostgres,
    _session_valkey: EmbeddedValkey,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[BotWorld]:
    with running_bot(postgres, tmp_path_factory.mktemp("bots")) as world:
        yield world


@pytest.fixture
def bots(world: BotWorld) -> Iterator[list[ServiceProcess]]:
    """The world's, which has the turn, and two beside it."""
    env = {name: value for name, value in world.bot._env.items() if name != "READY_FILE"}
    others = [
        ServiceProcess("bot", world.bot.folder.parent, env, name=f"bot-{number}").start(wait_s=60)
        for number in (2, 3)
    ]
    yield [world.bot, *others]
    for bot in others:
        bot.kill()


async def in_hand(bot: ServiceProcess) -> int:
    async with open_http() as http:
        return int((await http.get(f"{bot.health_url}/health/status")).json()["inbox"])


async def holder(bots: list[ServiceProcess]) -> ServiceProcess:
    """The bot that has the only chat in hand."""
    found = await asyncio.gather(*map(in_hand, bots))
    return bots[found.index(1)]


def said(visitor: Visitor) -> list[str]:
    """What the bot has said, in order."""
    texts = [str(message.get("text")) for message in visitor.chat.from_bot()]
    return [next((known for known in (ANSWER, TERMS) if known in text), text) for text in texts]


async def heard(visitor: Visitor, *words: str) -> None:
    await visitor.chat.until(lambda _: said(visitor) == [*words], PATIENCE_S, f"{words}")


async def asked_while_held(
    world: BotWorld, bots: list[ServiceProcess], visitor: Visitor, http: httpx.AsyncClient, seconds: float
) -> ServiceProcess:
    """Ask, and hold up the answer's call; the bot that makes it."""
    only = {"chat": str(visitor.chat.user_id)}
    rule = await world.fault(
        http, api="telegram", call="sendMessage", fault="hang", args={"seconds": seconds}, match=only
    )

    async def taken() -> bool:
        rules = (await http.get(f"{world.sandbox_url}/__sandbox/faults")).json()["rules"]
        return any(known["id"] == rule and known["used"] for known in rules)

    await visitor.chat.say(QUESTION)
    await eventually(taken)
    return await holder(bots)


async def test_all_bots_answer_and_each_person_once_and_in_order(
    world: BotWorld, bots: list[ServiceProcess], http: httpx.AsyncClient
) -> None:
    """More at once than two of them take in hand, as the first answers are held up."""
    people = [world.visitor(http, 810_000 + n) for n in range(70)]
    slow = {"api": "telegram", "call": "sendMessage", "fault": "hang", "args": {"seconds": 5}}
    await world.fault(http, **slow, times=len(people))
    for words in (QUESTION, "/start"):
        await asyncio.gather(*(person.chat.say(words) for person in people))

    async def all_at_work() -> bool:
        return all(await asyncio.gather(*map(in_hand, bots)))

    await eventually(all_at_work)
    for person in people:
        await heard(person, ANSWER, TERMS)
    await eventually(lambda: _settled(world))
    for person in people:
        await person.chat.look()
        assert said(person) == [ANSWER, TERMS]


async def test_a_killed_bots_chats_are_answered_by_another(
    world: BotWorld, bots: list[ServiceProcess], http: httpx.AsyncClient
) -> None:
    visitor = world.visitor(http, 820_001)
    held = await asked_while_held(world, bots, visitor, http, 120)
    held.kill()
    try:
        await visitor.chat.say("/start")
        await heard(visitor, ANSWER, TERMS)
    finally:
        held.start(wait_s=60)


async def test_a_frozen_bots_chats_are_answered_by_another_and_it_says_nothing_more(
    world: BotWorld, bots: list[ServiceProcess], http: httpx.AsyncClient
) -> None:
    visitor, other = world.visitor(http, 830_001), world.visitor(http, 830_002)
    held = await asked_while_held(world, bots, visitor, http, 5)
    held.signal(signal.SIGSTOP)
    try:
        await heard(visitor, ANSWER)
    finally:
        held.signal(signal.SIGCONT)
    await eventually(lambda: "lease_lost" in held.log)
    await eventually(lambda: _idle(held), what="the thawed one lets go")
    await other.chat.say(QUESTION)
    await heard(other, ANSWER)
    await visitor.chat.look()
    assert said(visitor) == [ANSWER]


async def _settled(world: BotWorld) -> bool:
    return not await world.rows("SELECT FROM updates")


async def _idle(bot: ServiceProcess) -> bool:
    return await in_hand(bot) == 0
