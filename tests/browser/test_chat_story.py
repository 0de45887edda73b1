"""A seller's whole story, clicked in a real browser: `make browser`; `make screens` keeps the pictures.

Labels are what stands on the buttons, in both languages: a person looks for words too.
"""

from typing import Final

import pytest

from services.rehearsal.scenarios import SCENARIOS
from services.rehearsal.seller import photo_of
from tests.support.chat_page import SIZES, ChatPage
from tests.support.playing import BLUE, RED, Play

pytestmark = pytest.mark.browser

SMALL_VIDEOS = True
RENDER_S: Final = 6

WORDS: Final = {
    "ru": {
        "product": "Керамическая кружка 300 мл, красная глазурь. Держит тепло час и не скользит в руке.",
        "accept": "Принимаю",
        "styles": "Выбрать стиль",
        "style": "Распаковка",
        "turned": "2 из 8, 3 из 8",
        "choose": "Выбрать",
        "create": "Создать за",
        "rendering": "создаём видео",
        "finished": "Заказ завершён",
        "again": "Ещё раз",
        "send again": "Прислать ещё раз",
        "account": "Кабинет",
        "operations": "Операции",
        "settings": "Настройки",
        "change text": "Другое описание",
        "waits for text": "Напишите другое описание",
        "package": "10 кредитов",
        "card": "Карта или СБП",
        "pay": "Оплатить",
        "received": "13 кредитов",
    },
    "en": {
        "product": "A ceramic mug of 300 ml with a red glaze. Keeps warm for an hour and does not slip.",
        "accept": "Accept",
        "styles": "Choose a style",
        "style": "Unboxing",
        "turned": "2 of 8, 3 of 8",
        "choose": "Choose",
        "create": "Create for",
        "rendering": "rendering the video",
        "finished": "order is finished",
        "again": "Again",
        "send again": "Send again",
        "account": "My account",
        "operations": "Operations",
        "settings": "Settings",
        "change text": "Change the text",
        "waits for text": "Write another description",
        "package": "10 credits",
        "card": "Card or SBP",
        "pay": "Pay ",
        "received": "13 credits",
    },
}

_KINDS: Final = [(lang, device, theme) for lang in WORDS for device in SIZES for theme in ("light", "dark")]
everywhere = pytest.mark.parametrize(("language", "device", "theme"), _KINDS)
on_a_phone = pytest.mark.parametrize(
    ("language", "device", "theme"), [kind for kind in _KINDS if kind[1:] == ("phone", "light")]
)


@everywhere
async def test_from_a_photo_to_a_video_in_three_taps(
    play: Play, chat_page: ChatPage, language: str, device: str, theme: str
) -> None:
    chat, words = chat_page, WORDS[language]
    await play.sandbox.change(render_seconds=RENDER_S)
    await begin(play, chat, language)
    await chat.shot("01-terms")
    await chat.tap(words["accept"])
    before = await chat.messages()
    await chat.photo(photo_of(RED, BLUE), words["product"])
    await chat.sees_button(words["styles"])
    await chat.shot("02-card")
    await chat.tap(words["styles"])
    for turned in words["turned"].split(", "):
        await chat.tap("▶️")
        await chat.sees(turned)
    await chat.shot("03-styles")
    await chat.tap(words["choose"])
    await chat.sees_button(words["create"])
    await chat.shot("04-ready")
    await chat.tap(words["create"])
    await chat.sees(words["rendering"])
    await chat.shot("05-rendering")
    await chat.sees_video()
    await chat.sees(words["finished"])
    await chat.sees_button(words["again"])
    await chat.shot("06-video")
    assert await chat.messages() == before + 2, "the card and the video"
    await chat.tap("👍")
    await chat.sees_no_button("👍")
    await play.sandbox.change(render_seconds=None)
    assert not await chat.overflows()


@everywhere
async def test_what_was_bought_and_made_is_found_in_the_cabinet(
    play: Play, chat_page: ChatPage, language: str, device: str, theme: str
) -> None:
    chat, words = chat_page, WORDS[language]
    await begin(play, chat, language)
    await chat.tap(words["accept"])
    await chat.say("/topup")
    await chat.sees_button(words["package"])
    await chat.shot("11-packages")
    await chat.tap(words["package"])
    await chat.tap(words["card"])
    await chat.pays(words["pay"], "Оплатить")
    await chat.sees(words["received"])
    await chat.shot("12-paid")
    await order(chat, words)
    await chat.sees_video()
    await chat.say("/videos")
    await chat.sees_button(words["send again"])
    await chat.shot("21-videos")
    await chat.say("/cabinet")
    await chat.sees_button(words["operations"])
    await chat.shot("22-cabinet")
    await chat.tap(words["operations"])
    await chat.sees_button("◀️ " + words["account"])
    await chat.shot("23-operations")
    await chat.tap("◀️ " + words["account"])
    await chat.tap(words["settings"])
    await chat.sees_button("🔔")
    await chat.shot("24-settings")
    await chat.tap("◀️ " + words["account"])
    await chat.say("/help")
    await chat.sees("/paysupport")
    await chat.shot("25-help")
    assert not await chat.overflows()


@on_a_phone
async def test_a_refusal_says_why_and_one_tap_repairs_it(
    play: Play, chat_page: ChatPage, language: str, device: str, theme: str
) -> None:
    chat, words = chat_page, WORDS[language]
    user = await begin(play, chat, language)
    (policy,) = [scenario for scenario in SCENARIOS if scenario.name == "policy"]
    await play.sandbox.inject([fault.rule(words["product"][:20], user) for fault in policy.faults])
    await chat.tap(words["accept"])
    await order(chat, words)
    await chat.sees_button(words["change text"])
    await chat.shot("31-refused")
    await chat.tap(words["change text"])
    await chat.sees(words["waits for text"])
    await chat.shot("32-repaired")


async def begin(play: Play, chat: ChatPage, language: str) -> int:
    """Somebody who was never here before opens the chat and starts it."""
    user = play.seller().chat.user_id
    await chat.open(play.stack.sandbox_url, user, language)
    await chat.start()
    await chat.sees_button(WORDS[language]["accept"])
    return user


async def order(chat: ChatPage, words: dict[str, str]) -> None:
    await chat.photo(photo_of(RED, BLUE), words["product"])
    await chat.tap(words["styles"])
    await chat.tap(words["style"])
    await chat.tap(words["create"])
