"""Telegram sends updates to `web`: nothing is lost or answered twice, also while the mode changes."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from services.adapters.telegram.updates import WEBHOOK_PATH
from services.cli.doctor import State
from services.cli.doctor.companies import check_companies
from services.local.processes import free_port
from services.local.valkey import EmbeddedValkey
from services.platform.endpoints import COMPANIES
from services.platform.settings import Settings, load_settings
from services.rehearsal.chat_client import open_http
from tests.integration.services.bot.people import BotWorld, running_bot
from tests.integration.services.bot.test_side_by_side import ANSWER, QUESTION, TERMS, heard
from tests.support import servers
from tests.support.waiting import eventually

SECRET = "what-telegram-shows-with-each-update"


@pytest.fixture(scope="module")
def world(
    postgres: servers.SessionPostgres,
    _session_valkey: EmbeddedValkey,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[BotWorld]:
    port = str(free_port("127.0.0.1"))
    with running_bot(
        postgres,
        tmp_path_factory.mktemp("webhook"),
        "web",
        BOT_MODE="webhook",
        BOT_WEBHOOK_SECRET=SECRET,
        WEB_PORT=port,
        CALLBACK_SECRET="callbacks-go-elsewhere",
    ) as world:
        yield world


async def webhook(world: BotWorld, http: httpx.AsyncClient) -> dict[str, object]:
    reply = await http.get(f"{world.sandbox_url}/bot{COMPANIES['telegram'].sandbox_key}/getWebhookInfo")
    found: dict[str, object] = reply.json()["result"]
    return found


async def test_updates_come_by_webhook_and_somebody_sees_to_it(
    world: BotWorld, http: httpx.AsyncClient
) -> None:
    visitor = world.visitor(http, 840_001)
    await visitor.enter()
    info = await webhook(world, http)
    assert str(info["url"]).endswith(WEBHOOK_PATH) and info["pending_update_count"] == 0
    assert "getUpdates" not in world.bot.log
    async with open_http() as health:
        told = (await health.get(f"{world.bot.health_url}/metrics")).text
    assert "neurocards_updates_pending 0.0" in told


async def test_doctor_says_whether_telegram_reaches_us(world: BotWorld) -> None:
    here = load_settings(
        sandbox_url=world.sandbox_url,
        bot_mode="webhook",
        bot_webhook_secret=SECRET,
        web_port=int(world.bot._env["WEB_PORT"]),
    )
    elsewhere = here.replace(public_url="https://cards.example")

    async def said_of(settings: Settings) -> tuple[State, str]:
        (check,) = [check for check in await check_companies(settings) if check.name == "BOT_MODE"]
        return check.state, check.found

    state, words = await said_of(here)
    assert (state, words.partition(" to ")[0]) == (State.ok, "Telegram sends updates"), words
    state, words = await said_of(elsewhere)
    assert state == State.fail and words.endswith("not to https://cards.example/webhooks/telegram"), words


async def test_from_webhook_to_polling_and_back_with_updates_waiting(
    world: BotWorld, http: httpx.AsyncClient
) -> None:
    people = [world.visitor(http, 841_000 + n) for n in range(10)]

    async def all_ask(words: str, *answers: str) -> None:
        """While the mode changes."""
        await asyncio.gather(*(person.chat.say(words) for person in people))
        for person in people:
            await heard(person, *answers)

    await all_ask(QUESTION, ANSWER)
    with world.bot.restarted_with(BOT_MODE="polling"):
        await all_ask("/start", ANSWER, TERMS)
        await eventually(lambda: _webhook_is(world, http, there=False))
        asking = asyncio.create_task(all_ask(QUESTION, ANSWER, TERMS, ANSWER))
    await asking
    await eventually(lambda: _webhook_is(world, http, there=True))
    await all_ask("/start", ANSWER, TERMS, ANSWER, TERMS)


async def test_a_webhook_that_somebody_deletes_is_set_again(world: BotWorld, http: httpx.AsyncClient) -> None:
    key = COMPANIES["telegram"].sandbox_key

    async def deleted() -> bool:
        """Telegram lets it be changed once a second."""
        return (await http.get(f"{world.sandbox_url}/bot{key}/deleteWebhook")).status_code == 200

    await eventually(deleted)
    visitor = world.visitor(http, 842_001)
    await visitor.chat.say(QUESTION)
    await heard(visitor, ANSWER)
    assert "webhook_was_another" in world.bot.log


async def _webhook_is(world: BotWorld, http: httpx.AsyncClient, *, there: bool) -> bool:
    return ((await webhook(world, http))["url"] != "") is there
