"""Texts: every one in both catalogues, the same placeholders and tags, and HTML that Telegram takes."""

import re
from pathlib import Path
from string import Formatter

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir

import services.bot
from services.adapters.telegram.order_labels import credits_text, videos_text
from services.bot.main import bot_texts
from services.bot.screens.menu import commands, description, short_description
from services.platform.catalogues import LOCALES, locale_for, read_catalogue
from tests.support.each import each

SOURCES = Path(services.bot.__file__).parent
TAG = re.compile(r"</?(\w+)>")
COMMAND = re.compile(r"(?<![</\w])/\w+")


def used() -> set[str | tuple[str, ...]]:
    """Every msgid in the bot's sources."""
    return {found[2] for found in extract_from_dir(str(SOURCES), method_map=[("**.py", "python")])}


def catalogue(locale: str) -> Catalog:
    return read_catalogue(SOURCES / "locales", locale, "bot")


def entries(locale: str) -> list[Message]:
    return [message for message in catalogue(locale) if message.id]


def texts(message: Message) -> list[str]:
    string = message.string
    return [str(text) for text in string] if isinstance(string, list | tuple) else [str(string)]


@each("locale", LOCALES)
def test_every_text_is_there_and_none_too_many(locale: str) -> None:
    found = {message.id if isinstance(message.id, str) else tuple(message.id) for message in entries(locale)}
    assert found == used()


@each("locale", LOCALES)
def test_every_translation_is_whole(locale: str) -> None:
    parsed = catalogue(locale)
    for message in entries(locale):
        assert not message.fuzzy, message.id
        assert all(texts(message)), message.id
        if message.pluralizable:
            assert len(texts(message)) == parsed.num_plurals, message.id


@each("locale", LOCALES)
def test_placeholders_tags_and_commands_are_the_same(locale: str) -> None:
    for message in entries(locale):
        original = message.id if isinstance(message.id, str) else message.id[0]
        for text in texts(message):
            assert _fields(text) == _fields(original), text
            assert TAG.findall(text) == TAG.findall(original), text
            assert COMMAND.findall(text) == COMMAND.findall(original), text
            assert text.strip() == text, f"loose white space: {text!r}"


def _fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_english_says_what_its_msgid_says() -> None:
    for message in entries("en"):
        ids = [message.id] if isinstance(message.id, str) else list(message.id)
        assert texts(message) == ids


def test_russian_is_russian() -> None:
    for message in entries("ru"):
        for text in texts(message):
            words = re.sub(r"\{\w+\}|<\w+>", "", text)
            assert re.search("[а-яё]", words, re.IGNORECASE), text


@each(
    ("locale", "number", "words"),
    [
        ("ru", 1, "1 кредит"), ("ru", 2, "2 кредита"), ("ru", 5, "5 кредитов"), ("ru", 11, "11 кредитов"),
        ("ru", 21, "21 кредит"), ("ru", 0, "0 кредитов"), ("en", 1, "1 credit"), ("en", 0, "0 credits"),
    ],
)  # fmt: skip
def test_plurals(locale: str, number: int, words: str) -> None:
    catalogues = bot_texts()
    with catalogues.context(), catalogues.use_locale(locale):
        assert credits_text(number) == words
        assert videos_text(number).startswith(str(number))


@each("locale", LOCALES)
def test_what_telegram_shows_of_us_fits(locale: str) -> None:
    with (texts := bot_texts()).context(), texts.use_locale(locale):
        for command in commands(invites=True):
            assert re.fullmatch("[a-z0-9_]{1,32}", command.command) and 1 <= len(command.description) <= 256
        assert 0 < len(description(1_000)) <= 512 and 0 < len(short_description()) <= 120
        assert "invite" not in [command.command for command in commands(invites=False)]


@each(
    ("code", "locale"),
    [("ru", "ru"), ("en", "en"), ("en-GB", "en"), ("EN", "en"), ("kk", "ru"), (None, "ru"), ("", "ru")],
)
def test_a_clients_language(code: str | None, locale: str) -> None:
    assert locale_for(code) == locale
