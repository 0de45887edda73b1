"""What sellers read: complete in both languages, right for Telegram, without anything internal."""

import re
from pathlib import Path
from typing import get_args

import pytest
from babel.messages.extract import extract_from_dir, extract_from_file
from msgspec.structs import replace

from services.generation.error_classes import POLICIES, ErrorClass
from services.notifier.messages import Delivery, Messages, StatusLine
from services.platform.file_links import FileLinks
from services.platform.i18n import LOCALES, Catalogues, read_catalogue
from services.platform.settings import load_settings
from tests.support.each import each

PACKAGE = Path(__file__).parents[4] / "services" / "notifier"
POLICY = PACKAGE.parent / "generation" / "error_classes.py"
CLASSES = get_args(ErrorClass)

VIDEO = Delivery(
    job="j1", kind="video", position=9, account="a1", order_id="o1", number=1, of_jobs=1, locale="ru",
    refunded=0, error_class="", blob="videos/v.mp4", size_bytes=5, as_link=False, claims=1, attempts=0,
    unknown_sends=0, chat_id=5, repeatable=True, back_to="", owed_at_s=1_000.0, age_s=0.0,
)  # fmt: skip


@pytest.fixture
def messages() -> Messages:
    links = FileLinks(load_settings(public_url="https://cards.example"))
    return Messages(Catalogues("services.notifier", "notifier"), links, "@help")


def failure(error_class: str, **changes: object) -> Delivery:
    return replace(VIDEO, kind="failure", error_class=error_class, refunded=1, **changes)


def test_both_catalogues_have_exactly_the_texts_that_are_used() -> None:
    keywords = {"_": None, "N_": None, "_say": None, "gettext": (1, 2)}
    used = set()
    found = list(extract_from_dir(PACKAGE, keywords=keywords))
    found += [(str(POLICY), *entry) for entry in extract_from_file("python", POLICY, keywords=keywords)]
    for _, _, msgid, _, _ in found:
        used.add(msgid if isinstance(msgid, str) else msgid[0])
    for locale in LOCALES:
        catalogue = read_catalogue(PACKAGE / "locales", locale, "notifier")
        entries = {(m.id if isinstance(m.id, str) else m.id[0]): m for m in catalogue if m.id}
        assert used == set(entries), locale
        for msgid, entry in entries.items():
            texts = [entry.string] if isinstance(entry.string, str) else list(entry.string or ())
            for text in texts:
                assert text, (locale, msgid)
                assert set(re.findall(r"{\w+}", text)) <= {"{count}", *re.findall(r"{\w+}", msgid)}
                assert locale == "en" or re.search("[а-яё]", text), (locale, msgid)


def test_a_class_of_a_later_version_is_told_as_unclassified(messages: Messages) -> None:
    assert messages.failure(failure("from tomorrow"), 7) == messages.failure(failure("unclassified"), 7)
    assert set(POLICIES) == set(CLASSES)


@each("locale", LOCALES)
@each("error_class", CLASSES)
def test_a_failure_names_what_happened_what_to_do_and_the_balance(
    messages: Messages, error_class: str, locale: str
) -> None:
    text = messages.failure(failure(error_class, locale=locale), 7)
    assert ("Your credit is back." if locale == "en" else "Вам вернулся 1 кредит.") in text
    assert ("Your balance: 7." if locale == "en" else "Ваш баланс: 7.") in text
    assert len(text.splitlines()) == 6
    assert error_class not in text and "{" not in text


@each(
    ("credits", "words"),
    [
        (1, "вернулся 1 кредит."),
        (3, "вернулось 3 кредита."),
        (11, "11 кредитов."),
        (21, "вернулся 21 кредит."),
    ],
)
def test_russian_counts(messages: Messages, credits: int, words: str) -> None:
    assert words in messages.failure(replace(failure("timeout"), refunded=credits), None)


def test_an_unknown_balance_is_left_out(messages: Messages) -> None:
    assert "баланс" not in messages.failure(failure("timeout"), None)


def test_another_language_gets_russian(messages: Messages) -> None:
    assert "готово" in messages.video(replace(VIDEO, locale="de"))


def test_a_caption_stays_within_telegrams_limit(messages: Messages) -> None:
    for kind in ("video", "gift"):
        assert len(messages.video(replace(VIDEO, kind=kind, number=49, of_jobs=50))) < 1024


def test_the_status_of_fifty_lost_videos_stays_within_telegrams_limit(messages: Messages) -> None:
    lines = [StatusLine(n, "done", lost=True, blob="videos/" + "f" * 60, owed_at_s=1e9) for n in range(1, 51)]
    assert len(messages.status(lines, "ru")) < 4096


def test_the_same_status_makes_the_same_text(messages: Messages) -> None:
    lines = [StatusLine(1, "done", lost=True, blob="videos/v.mp4", owed_at_s=1e9), StatusLine(2, "failed")]
    assert messages.status(lines, "en") == messages.status(lines, "en")


def test_without_a_draft_there_is_nothing_to_repeat(messages: Messages) -> None:
    buttons = messages.buttons(replace(VIDEO, repeatable=False)).inline_keyboard
    assert [[b.callback_data for b in row] for row in buttons] == [["menu:home"]]


@each("locale", LOCALES)
def test_without_an_address_for_people_there_is_no_link_but_whom_to_write_to(locale: str) -> None:
    """A link to 127.0.0.1 helps nobody; where Telegram is the sandbox, the chat is on this machine too."""
    real = FileLinks(load_settings(bot_token="123456789:AAEexample", callback_secret="s" * 16))
    messages = Messages(Catalogues("services.notifier", "notifier"), real, "@help")
    large = replace(VIDEO, locale=locale, as_link=True)
    lines = [StatusLine(1, "done", lost=True, blob="videos/v.mp4"), StatusLine(2, "done")]
    for text in (messages.video(large), messages.status(lines, locale)):
        assert "@help" in text and "<code>videos/v.mp4</code>" in text
        assert "http" not in text and "127.0.0.1" not in text
    assert not messages.has_links
    assert FileLinks(load_settings()).reachable
