"""What sellers read: complete in both languages, right for Telegram, without anything internal."""

import html
import re
from datetime import date, datetime
from pathlib import Path
from typing import get_args

import pytest
from babel.messages.extract import extract_from_dir, extract_from_file
from msgspec.structs import replace

from ledger.accounts.lots import Lot
from services.generation.error_classes import POLICIES, ErrorClass
from services.notifier.deliveries import Delivery
from services.notifier.messages import Messages, StatusLine, What, ends_soon, notifier_texts
from services.platform.catalogues import LOCALES, MOSCOW, read_catalogue
from services.platform.file_links import FileLinks
from services.platform.settings import load_settings
from tests.support.each import each

PACKAGE = Path(__file__).parents[4] / "services" / "notifier"
POLICY = PACKAGE.parent / "generation" / "error_classes.py"
CLASSES = get_args(ErrorClass)

VIDEO = Delivery(
    job="j1", kind="video", position=9, account="a1", order_id="o1", number=1, of_jobs=1, locale="ru",
    refunded=0, error_class="", blob="videos/v.mp4", size_bytes=5, as_link=False, claims=1, attempts=0,
    unknown_sends=0, chat_id=5, repeatable=True, waiting=None, waiting_version=0,
    waiting_price=0, status_message=None, status_shown=None, owed_at_s=1_000.0, age_s=0.0,
)  # fmt: skip

WHAT = What("o1", "ru", "a red mug", "unboxing", "9:16", 5)


@pytest.fixture
def messages() -> Messages:
    links = FileLinks(load_settings(public_url="https://cards.example"))
    return Messages(notifier_texts(), links, "@help")


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
    assert ("Your balance: 7 credits." if locale == "en" else "Ваш баланс: 7 кредитов.") in text
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
    assert "готово" in messages.video(replace(VIDEO, locale="de"), 7)


def test_a_caption_stays_within_telegrams_limit(messages: Messages) -> None:
    for kind in ("video", "gift"):
        long = replace(
            VIDEO,
            kind=kind,
            number=49,
            of_jobs=50,
            product="<&>" * 700,
            style="ugc",
            format="9:16",
            seconds=10,
        )
        assert len(html.unescape(messages.video(long, 7))) < 1024


@each("locale", LOCALES)
def test_a_caption_says_what_it_is_of_and_what_is_left(messages: Messages, locale: str) -> None:
    told = replace(
        VIDEO, product="a <red> mug", style="unboxing", format="1:1", seconds=5, of_jobs=5, number=2
    )
    ready, which, *what = messages.video(replace(told, locale=locale), 7).splitlines()
    assert which == ("Video 2 of 5" if locale == "en" else "Видео 2 из 5") and ready.startswith("🎬")
    assert what == {
        "en": [
            "📦 Product: a &lt;red&gt; mug", "🎨 Style: Unboxing", "📐 1:1 square · 5 s",
            "💳 Your balance: 7 credits.",
        ],
        "ru": [
            "📦 Товар: a &lt;red&gt; mug", "🎨 Стиль: Распаковка", "📐 1:1 квадрат · 5 с",
            "💳 Ваш баланс: 7 кредитов.",
        ],
    }[locale]  # fmt: skip
    assert messages.video(replace(VIDEO, locale=locale), None).splitlines() == [ready], (
        "nothing is known any more"
    )


def test_the_card_alone_has_buttons_once_the_order_is_over(messages: Messages) -> None:
    of_card = replace(VIDEO, card=7)
    assert messages.buttons(of_card) is None
    assert messages.buttons(replace(of_card, kind="failure", error_class="timeout")) is not None
    done, going = StatusLine("j1", 1, "done"), StatusLine("j2", 2, "rendering")
    assert messages.status(WHAT, [done, going], "en").buttons is None
    buttons = messages.status(WHAT, [done, replace(going, state="failed")], "en").buttons
    assert buttons is not None
    assert [b.callback_data for row in buttons.inline_keyboard for b in row] == [
        "rate:j1:5", "rate:j1:1", "again:o1:", "again:o1:styles", "again:o1:formats", "menu:home",
    ]  # fmt: skip
    many = [StatusLine(f"j{n}", n, "done", stars=n % 2) for n in range(1, 11)]
    buttons = messages.status(WHAT, many, "en").buttons
    assert buttons is not None
    assert [[b.text for b in row] for row in buttons.inline_keyboard[:3]] == [
        ["👍 №2", "👎 №2", "👍 №4", "👎 №4"], ["👍 №6", "👎 №6", "👍 №8", "👎 №8"], ["👍 №10", "👎 №10"],
    ]  # fmt: skip
    counted = messages.status(WHAT, [*many, StatusLine("j11", 11, "done")], "en").buttons
    assert counted is not None and len(counted.inline_keyboard) == 3


def test_the_status_of_fifty_lost_videos_stays_within_telegrams_limit(messages: Messages) -> None:
    lines = [
        StatusLine(f"j{n}", n, "done", lost=True, blob="videos/" + "f" * 60, owed_at_s=1e9)
        for n in range(1, 51)
    ]
    assert len(messages.status(WHAT, lines, "ru").text) < 4096


@each(
    ("line", "said"),
    [
        (StatusLine("j", 1, "queued"), "⏳ in the queue, next in line"),
        (StatusLine("j", 1, "queued", ahead=1), "⏳ in the queue, about 1 video before it"),
        (StatusLine("j", 1, "waiting", ahead=3), "script is ready, in the queue, about 3 videos before it"),
        (StatusLine("j", 1, "waiting", ahead=101), "in the queue, more than 100 videos before it"),
        (StatusLine("j", 1, "writing"), "✍️ writing the script"),
        (StatusLine("j", 1, "rendering", elapsed_s=9), "🎬 rendering the video"),
        (StatusLine("j", 1, "rendering", elapsed_s=0, usual_s=300), "▱▱▱▱▱▱▱▱▱▱ 0 %, about 5 min left"),
        (StatusLine("j", 1, "rendering", elapsed_s=230, usual_s=300), "▰▰▰▰▰▰▰▱▱▱ 70 %, about 2 min left"),
        (StatusLine("j", 1, "rendering", elapsed_s=250, usual_s=300), "▰▰▰▰▰▰▰▰▱▱ 80 %, about a minute left"),
        (StatusLine("j", 1, "rendering", elapsed_s=9, usual_s=10), "▰▰▰▰▰▰▰▰▰▱ 90 %, a few seconds left"),
        (StatusLine("j", 1, "rendering", elapsed_s=300, usual_s=300), "▰▰▰▰▰▰▰▰▰▰ 95 %, almost there"),
        (StatusLine("j", 1, "rendering", elapsed_s=900, usual_s=300), "95 %, longer than usual"),
        (StatusLine("j", 1, "retrying", usual_s=300), "🔁 the service stumbled, trying again"),
        (StatusLine("j", 1, "done", usual_s=300), "✅ done"),
    ],
)
def test_where_a_video_stands(messages: Messages, line: StatusLine, said: str) -> None:
    shown = messages.status(WHAT, [line], "en")
    head, words = shown.text.split("\n\n")
    _, *what = [line for line in head.splitlines() if not line.startswith("📨")]
    assert what == [
        "📦 Product: a red mug",
        "🎨 Style: Unboxing",
        "📐 9:16 vertical · 5 s · 1 video",
    ]
    assert words.endswith(said)
    assert (shown.next_s is not None) == any(word in said for word in ("in the queue", "left", "almost"))


def test_a_card_of_ten_videos_fits_with_the_longest_words(messages: Messages) -> None:
    what = replace(WHAT, product="<" * 2000, style="before_after")
    for locale in LOCALES:
        for state in ("waiting", "rendering", "failed", "gifted"):
            lines = [StatusLine("j", n, state, ahead=101, usual_s=600) for n in range(1, 11)]
            text = html.unescape(re.sub("<[^>]+>", "", messages.status(what, lines, locale).text))
            assert len(text.encode("utf-16-le")) // 2 <= 1024


def test_many_videos_are_counted_and_nothing_ticks(messages: Messages) -> None:
    lines = [StatusLine(f"j{n}", n, "rendering" if n > 3 else "done", usual_s=9) for n in range(1, 12)]
    shown = messages.status(WHAT, lines, "en")
    assert shown.text.splitlines()[-2:] == ["🎬 rendering the video: 8 videos", "✅ done: 3 videos"]
    assert shown.next_s is None


def test_the_same_status_makes_the_same_text(messages: Messages) -> None:
    lines = [
        StatusLine("j1", 1, "done", lost=True, blob="videos/v.mp4", owed_at_s=1e9),
        StatusLine("j2", 2, "failed"),
    ]
    assert messages.status(WHAT, lines, "en") == messages.status(WHAT, lines, "en")


def test_without_a_draft_there_is_nothing_to_repeat(messages: Messages) -> None:
    buttons = messages.buttons(replace(VIDEO, repeatable=False))
    assert buttons is not None
    assert [[b.callback_data for b in row] for row in buttons.inline_keyboard] == [["menu:home"]]


@each("locale", LOCALES)
def test_without_an_address_for_people_there_is_no_link_but_whom_to_write_to(locale: str) -> None:
    """A link to 127.0.0.1 helps nobody; where Telegram is the sandbox, the chat is on this machine too."""
    real = FileLinks(load_settings(bot_token="123456789:AAEexample", callback_secret="s" * 16))
    messages = Messages(notifier_texts(), real, "@help")
    large = replace(VIDEO, locale=locale, as_link=True)
    lines = [StatusLine("j1", 1, "done", lost=True, blob="videos/v.mp4"), StatusLine("j2", 2, "done")]
    for text in (messages.video(large, 7), messages.status(WHAT, lines, locale).text):
        assert "@help" in text and "<code>videos/v.mp4</code>" in text
        assert "http" not in text and "127.0.0.1" not in text
    assert not messages.has_links
    assert FileLinks(load_settings()).reachable


# What repairs a failure, and what no event owes.

REPAIRS = {
    "user_violation": ["repair:o1:photo", "repair:o1:product"],
    "bad_image": ["repair:o1:photo"],
    "provider_balance": ["repair:o1:", "tell:o1"],
    "model_paused": ["repair:o1:", "tell:o1"],
    "transient": ["repair:o1:", "tell:o1"],
    "timeout": ["repair:o1:", "tell:o1"],
    "overloaded": ["repair:o1:", "tell:o1"],
    "poison": ["repair:o1:"],
    "cancelled": ["repair:o1:"],
}


def data(messages: Messages, delivery: Delivery) -> list[str]:
    shown = messages.buttons(delivery)
    assert shown is not None
    return [b.callback_data or "" for row in shown.inline_keyboard for b in row]


def test_a_failures_buttons_are_what_helps(messages: Messages) -> None:
    for error_class, buttons in REPAIRS.items():
        assert data(messages, failure(error_class)) == [*buttons, "menu:home"], error_class
    assert data(messages, failure("timeout", repeatable=False)) == ["menu:home"]


def test_the_end_of_a_pause_says_when_to_try_again_where_only_time_helps(messages: Messages) -> None:
    for locale, words in (("en", "in about 15 min"), ("ru", "через 15 мин")):
        assert words in messages.failure(failure("model_paused", locale=locale, rest_s=841.0), 7)
        assert words not in messages.failure(failure("bad_image", locale=locale, rest_s=841.0), 7)
    assert "in about 1 min" in messages.failure(failure("timeout", locale="en", rest_s=0.0), 7)
    assert "in an hour" in messages.failure(failure("provider_balance", locale="en"), 7)


NOON_S = datetime(2026, 12, 1, 12, tzinfo=MOSCOW).timestamp()


def test_what_ends_is_summed_by_the_day_in_moscow() -> None:
    def lot(number: int, amount: int, days: float | None) -> Lot:
        ends = None if days is None else int((NOON_S + days * 86_400) * 1e6)
        return Lot(number, amount, "bonus", ends)

    lots = (
        lot(1, 9, -0.1),
        lot(2, 1, 0.6),
        lot(3, 2, 1.0),
        lot(4, 3, 7.49),
        lot(5, 4, 7.51),
        lot(6, 5, None),
    )
    assert ends_soon(lots, NOON_S) == {date(2026, 12, 2): 3, date(2026, 12, 8): 3}


def test_reminders_in_both_languages_lead_on_and_can_be_switched_off(messages: Messages) -> None:
    ending = replace(VIDEO, kind="ending", repeatable=False)
    ends = {date(2026, 12, 2): 1, date(2026, 12, 8): 5}
    assert "• 1 кредит: 2 декабря\n• 5 кредитов: 8 декабря" in messages.reminder(ending, ends)
    assert "• 1 credit: 2 December" in messages.reminder(replace(ending, locale="en"), ends)
    assert data(messages, ending) == ["menu:create", "remind:0"]
    assert data(messages, replace(ending, waiting="d1")) == ["backto:d1", "remind:0"]
    left, works = (replace(VIDEO, kind=kind, waiting="d1") for kind in ("left", "works"))
    assert "заказ ждёт" in messages.reminder(left, {}) and "снова" in messages.reminder(works, {})
    assert data(messages, left) == ["backto:d1", "remind:0"]
    assert data(messages, works) == ["backto:d1", "menu:home"], "asked for: nothing to switch off"
    assert data(messages, replace(works, waiting=None)) == ["repair:o1:", "menu:home"]
