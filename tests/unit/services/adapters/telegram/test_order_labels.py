"""What both sides say of an order: complete in both languages, one wording for each state, none forbidden."""

import re
from pathlib import Path
from typing import get_args

from babel.messages.extract import extract_from_file

import services
from services.adapters.telegram import order_labels
from services.adapters.telegram.order_labels import STATES, LineState, made_lines, what_lines
from services.bot.main import bot_texts
from services.notifier.messages import notifier_texts
from services.platform.catalogues import LOCALES, read_catalogue
from tests.support.each import each

ROOT = Path(services.__file__).parent
CATALOGUES = {"bot": ROOT / "bot", "notifier": ROOT / "notifier", "order": ROOT / "adapters/telegram"}
FORBIDDEN = {
    "a video is not shot": r"сним(а|е)|съёмк|shooting",
    "machine's words": r"\bjob\b|джоб|таск|рендер|генераци",
    "another name for the queue": r"в ожидании|ожидает очереди|pending|waiting in line",
    "another name for the script": r"пишем промпт|готовим сценарий|writing the prompt",
    "a number without what it counts": (
        r"(?:[:—=]|осталось|left|ещё)\s*\{(?:n|count|most|chars|minutes|number)\}\s*(?:[.,;!?)]|$)"
    ),
}


def texts(domain: str, locale: str) -> dict[str, list[str]]:
    found = {}
    for entry in read_catalogue(CATALOGUES[domain] / "locales", locale, domain):
        if entry.id:
            said = [entry.string] if isinstance(entry.string, str) else list(entry.string or ())
            found[entry.id if isinstance(entry.id, str) else entry.id[0]] = said
    return found


@each("locale", LOCALES)
def test_every_text_is_there_and_none_too_many(locale: str) -> None:
    keywords = {"_": None, "N_": None, "ngettext": (1, 2)}
    found = extract_from_file("python", str(Path(order_labels.__file__)), keywords=keywords)
    used = {entry[1] if isinstance(entry[1], str) else entry[1][0] for entry in found}
    assert used == set(texts("order", locale))
    for msgid, said in texts("order", locale).items():
        assert all(said), msgid
        assert all(set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", msgid)) for text in said), (
            msgid
        )
        assert locale == "en" or all(re.search("[а-яё]", text) for text in said), msgid


@each("locale", LOCALES)
def test_no_catalogue_has_a_forbidden_wording(locale: str) -> None:
    wrong = [
        (why, domain, text)
        for domain in CATALOGUES
        for said in texts(domain, locale).values()
        for text in said
        for why, pattern in FORBIDDEN.items()
        if re.search(pattern, text, re.IGNORECASE | re.MULTILINE)
    ]
    assert wrong == []


@each("locale", LOCALES)
def test_a_state_has_one_wording_and_one_home(locale: str) -> None:
    assert set(STATES) == set(get_args(LineState))
    words = [texts("order", locale)[msgid][0] for msgid in STATES.values()]
    assert len(set(words)) == len(words)
    elsewhere = {
        text for domain in ("bot", "notifier") for said in texts(domain, locale).values() for text in said
    }
    bare = {word.split(" ", 1)[1] for word in words}
    assert not elsewhere & {*words, *bare}


@each("locale", LOCALES)
def test_both_sides_say_the_same(locale: str) -> None:
    said = []
    for catalogue in (bot_texts(), notifier_texts()):
        with catalogue.context(), catalogue.use_locale(locale):
            said.append([*what_lines("a <red> mug " + "x" * 500, "unboxing"), *made_lines("9:16", 5, 2)])
    assert said[0] == said[1] and len(said[0]) == 3
    assert "&lt;red&gt;" in said[0][0] and len(said[0][0]) < 190
    assert what_lines("", "no such style") == []
