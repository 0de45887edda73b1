"""A seller's whole story, clicked in a real browser: `make browser`; `make screens` keeps the pictures.

Labels are what stands on the buttons, in both languages: a person looks for words too.
"""

from typing import Final

import pytest

from services.rehearsal.seller import photo_of
from tests.support.chat_page import ChatPage
from tests.support.playing import BLUE, RED, Play

pytestmark = pytest.mark.browser

SMALL_VIDEOS = True
LANGUAGES: Final = ("ru", "en")

WORDS: Final = {
    "ru": {
        "caption": "Керамическая кружка 300 мл, красная глазурь. Держит тепло час и не скользит в руке.",
        "accept": "Принимаю",
        "styles": "Выбрать стиль",
        "style": "Распаковка",
        "create": "Создать за",
        "again": "Ещё раз",
        "package": "10 кредитов",
        "card": "Карта или СБП",
        "pay": "Оплатить",
        "received": "баланс: 13",
    },
    "en": {
        "caption": "A ceramic mug of 300 ml with a red glaze. Keeps warm for an hour and does not slip.",
        "accept": "Accept",
        "styles": "Choose a style",
        "style": "Unboxing",
        "create": "Create for",
        "again": "Again",
        "package": "10 credits",
        "card": "Card or SBP",
        "pay": "Pay ",
        "received": "balance: 13",
    },
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("device", ["phone", "desktop"])
@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_whole_story(
    play: Play, chat_page: ChatPage, language: str, device: str, theme: str
) -> None:
    chat, words = chat_page, WORDS[language]
    seller = play.seller()

    def name(step: str) -> str:
        return "-".join((language, device, theme, step))

    await chat.open(play.stack.sandbox_url, seller.chat.user_id, language)
    await chat.page.locator("#start").click()
    await chat.sees_button(words["accept"])
    await chat.shot(name("01-terms"))
    await chat.tap(words["accept"])
    before = await chat.messages()
    await chat.photo(photo_of(RED, BLUE), words["caption"])
    await chat.sees_button(words["styles"])
    await chat.shot(name("02-card"))

    await chat.tap(words["styles"])
    await chat.sees_button(words["style"])
    await chat.shot(name("03-styles"))
    await chat.tap(words["style"])
    await chat.sees_button(words["create"])
    await chat.shot(name("04-ready"))
    await chat.tap(words["create"])
    await chat.sees_video()
    await chat.sees_button(words["again"])
    await chat.shot(name("05-video"))
    assert await chat.messages() == before + 2, "the card and the video"
    assert not await chat.overflows()


@pytest.mark.parametrize("theme", ["light"])
@pytest.mark.parametrize("device", ["phone"])
@pytest.mark.parametrize("language", LANGUAGES)
async def test_credits_are_bought_on_the_payment_page(
    play: Play, chat_page: ChatPage, language: str, device: str, theme: str
) -> None:
    chat, words = chat_page, WORDS[language]
    seller = play.seller()
    await chat.open(play.stack.sandbox_url, seller.chat.user_id, language)
    await chat.page.locator("#start").click()
    await chat.tap(words["accept"])
    await chat.say("/topup")
    await chat.sees_button(words["package"])
    await chat.shot(f"{language}-{device}-{theme}-11-packages")
    await chat.tap(words["package"])
    await chat.tap(words["card"])
    await chat.pays(words["pay"], "Оплатить")
    await chat.sees(words["received"])
    await chat.shot(f"{language}-{device}-{theme}-12-paid")
