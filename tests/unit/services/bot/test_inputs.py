"""Texts from people: nothing hidden survives, nothing visible is lost, everything is escaped."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from services.bot.inputs import quote, says_something, tidy
from tests.support.each import each


@each(
    ("raw", "kept"),
    [
        ("  a   mug \t red ", "a mug red"),
        ("one\r\n\r\n\r\n\r\ntwo", "one\n\ntwo"),
        ("safe\u202egnp.exe", "safegnp.exe"),
        ("\u2067ספל\u2069 \u200fאדום\u061c", "ספל אדום"),
        ("a\x00b\x07c\ud800d", "abcd"),
        ("👩\u200d👩\u200d👧 ❤\ufe0f 🇷🇺", "👩\u200d👩\u200d👧 ❤\ufe0f 🇷🇺"),
        ("z" + "\u0301" * 30, "ź" + "\u0301" * 4),
        ("й", "й"),
        ("\ufeff\u2060\u3164\u2800", ""),
        ("line\u2028break", "line break"),
        ("Кружка «Утро», 350 мл — 990 ₽", "Кружка «Утро», 350 мл — 990 ₽"),
    ],
)
def test_tidy(raw: str, kept: str) -> None:
    assert tidy(raw) == kept


@given(st.text(st.characters(categories=None), max_size=300))
def test_tidy_leaves_nothing_that_disturbs(text: str) -> None:
    kept = tidy(text)
    assert tidy(kept) == kept
    kept.encode()
    bad = [
        c for c in kept if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co") and c not in "\n\u200c\u200d"
    ]
    assert bad == []
    assert "<" not in quote(kept) and "\x00" not in kept


@each(
    ("text", "says"),
    [(text, True) for text in ("TV", "чай", "杯子", "ספל")]
    + [(text, False) for text in ("5", "🎉🎉", "", "...")],
)
def test_whether_a_text_says_something(text: str, says: bool) -> None:
    assert says_something(tidy(text)) is says


def test_quoting_escapes_after_cutting() -> None:
    assert quote("<b>&</b>") == "&lt;b&gt;&amp;&lt;/b&gt;"
    assert quote("a" * 9 + "&" * 9, 10) == "a" * 9 + "…"
