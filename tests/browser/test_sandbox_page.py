"""The page's own controls and what is done with a message, clicked; the test plays the bot."""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from services.sandbox.app import Clock
from services.sandbox.main import MODULES
from tests.support.chat_page import ChatPage
from tests.support.outside import Outside, outside, photo

pytestmark = pytest.mark.browser

USER: Final = 7
WORDS: Final[dict[str, dict[str, str]]] = {
    "ru": {
        "policy": "Отказ по правилам",
        "slow": "Провайдер медлит",
        "deeds": "Действия с сообщением",
        "reply": "Ответить",
        "edit": "Изменить",
        "forward": "Переслать боту",
        "forwarded": "Переслано от: NeuroCards",
        "edited": "изменено",
        "clear the chat": "Очистить чат",
        "clear": "Очистить",
        "new": "Новый человек",
        "here": "в этом чате",
    },
    "en": {
        "policy": "Refused by policy",
        "slow": "Provider is slow",
        "deeds": "What to do with the message",
        "reply": "Reply",
        "edit": "Edit",
        "forward": "Forward to the bot",
        "forwarded": "Forwarded from NeuroCards",
        "edited": "edited",
        "clear the chat": "Clear the chat",
        "clear": "Clear",
        "new": "Somebody new",
        "here": "in this chat",
    },
}
everywhere = pytest.mark.parametrize(
    ("language", "device", "theme"),
    [("ru", "phone", "dark"), ("en", "desktop", "light")],
)


class Sandbox:
    """The sandbox as the bot and as whoever turns its knobs."""

    def __init__(self, running: Outside) -> None:
        self.running = running
        self.bot = f"/bot{running.ctx.settings.bot_token}"

    async def call(self, name: str, **params: Any) -> Any:
        return (await self.running.post(f"{self.bot}/{name}", params))["result"]

    async def updates(self) -> list[dict[str, Any]]:
        """What came since the last time."""
        found: list[dict[str, Any]] = await self.call("getUpdates", timeout=20)
        await self.call("getUpdates", offset=found[-1]["update_id"] + 1)
        return found

    async def setting(self, name: str) -> Any:
        return (await self.running.get("/__sandbox/settings"))[name]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with outside(MODULES, clock=Clock()) as running:
        yield Sandbox(running)


async def begun(sandbox: Sandbox, chat: ChatPage, language: str) -> None:
    await chat.open(sandbox.running.url, USER, language)
    await chat.start()
    assert [update["message"]["text"] for update in await sandbox.updates()] == ["/start"]


@everywhere
async def test_a_message_is_answered_edited_and_forwarded(
    sandbox: Sandbox, chat_page: ChatPage, language: str, device: str, theme: str
) -> None:
    chat, words = chat_page, WORDS[language]
    await begun(sandbox, chat, language)
    button = {"inline_keyboard": [[{"text": "OK", "callback_data": "ok"}]]}
    card = await sandbox.call("sendMessage", chat_id=USER, text="The card", reply_markup=button)

    await chat.do("The card", words["deeds"], words["reply"])
    await chat.say("An answer")
    [update] = await sandbox.updates()
    assert update["message"]["reply_to_message"]["message_id"] == card["message_id"]

    await chat.do("An answer", words["deeds"], words["edit"])
    await chat.say("A better answer")
    [update] = await sandbox.updates()
    assert update["edited_message"]["text"] == "A better answer"
    await chat.sees("A better answer", words["edited"])

    await chat.do("The card", words["deeds"], words["forward"])
    [update] = await sandbox.updates()
    assert update["message"]["forward_origin"]["sender_user"]["is_bot"] is True
    await chat.sees(words["forwarded"])
    # The same by the keyboard alone: up from the first is the last.
    await chat.page.get_by_role("button", name=words["deeds"]).last.press("Enter")
    await chat.page.keyboard.press("ArrowUp")
    await chat.page.keyboard.press("Enter")
    [update] = await sandbox.updates()
    assert update["message"]["forward_origin"]
    await chat.photo(photo(720, 1280), "A mug")
    await chat.sees("A mug")
    width = await chat.page.locator("#messages .framed .bubble").last.evaluate("(node) => node.offsetWidth")
    assert width >= 300, "a framed photo leaves its caption room"
    assert not await chat.overflows()


@everywhere
async def test_a_link_is_followed_here_or_by_somebody_new_and_a_chat_begins_afresh(
    sandbox: Sandbox, chat_page: ChatPage, language: str, device: str, theme: str
) -> None:
    chat, words = chat_page, WORDS[language]
    page = chat.page
    await begun(sandbox, chat, language)
    await sandbox.call("sendMessage", chat_id=USER, text="https://t.me/neurocards_bot?start=ref_a1")

    await page.locator("#messages a").click()
    await page.locator("#follow").get_by_text(words["here"]).click()
    await page.wait_for_url("**start=ref_a1")
    await chat.start()
    [update] = await sandbox.updates()
    assert (update["message"]["text"], update["message"]["chat"]["id"]) == ("/start ref_a1", USER)

    await chat.side()
    await page.locator("#link").fill("t.me/neurocards_bot?start=promo_MAY")
    await page.locator("#link").press("Enter")
    await page.locator("#follow").get_by_text(words["new"]).click()
    await page.wait_for_url(f"**user={USER + 1}*")
    await chat.start()
    [update] = await sandbox.updates()
    assert (update["message"]["text"], update["message"]["chat"]["id"]) == ("/start promo_MAY", USER + 1)

    await chat.side()
    await page.get_by_role("button", name=words["clear the chat"]).click()
    await page.get_by_role("button", name=words["clear"], exact=True).click()
    await page.locator("#welcome").wait_for()
    assert await chat.messages() == 0
    await chat.start()
    [update] = await sandbox.updates()
    assert update["message"]["text"] == "/start"


@everywhere
async def test_knobs_and_faults_are_turned_and_turned_back(
    sandbox: Sandbox, chat_page: ChatPage, language: str, device: str, theme: str
) -> None:
    chat, words = chat_page, WORDS[language]
    page = chat.page
    await chat.open(sandbox.running.url, USER, language)
    await chat.side()
    usual = await sandbox.setting("render_seconds")

    for wanted in (True, False):
        await page.get_by_role("button", name="× 10" if wanted else "× 1", exact=True).click()
        await page.get_by_role("button", name="× 10", pressed=wanted).wait_for()
        for label in (words["policy"], words["slow"]):
            await page.get_by_label(label).click()
            await page.get_by_role("checkbox", name=label, checked=wanted).wait_for()
        assert (await sandbox.setting("render_seconds") < usual) is wanted
        assert (await sandbox.setting("latency_seconds") > 0) is wanted
        rules = (await sandbox.running.get("/__sandbox/faults"))["rules"]
        assert [rule["rule"]["fault"] for rule in rules] == ["policy"] * wanted
    assert await page.locator("#bot-api").inner_text() == sandbox.running.url + sandbox.bot
    assert not await chat.overflows()
