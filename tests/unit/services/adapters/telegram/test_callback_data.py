"""Buttons: each fits into the 64 bytes Telegram gives, comes back as it went, and is told from the others."""

from typing import Any, get_args

import pytest
from aiogram.filters.callback_data import CallbackData

from services.adapters.telegram import callback_data as b
from services.generation.prompts.styles import load_styles
from services.platform.catalogues import LOCALES
from tests.support.each import each

DRAFT = "0123456789abcdef01234567"
"""As long as `new_id` makes them; a fixed one, so that every test process has the same test names."""

PACKAGE_CHARS = 24
"""As long as a package's id may be."""

MADE: list[CallbackData] = [
    *(b.Menu(action=action) for action in b.MenuAction),
    *(kind(draft=DRAFT) for kind in (b.Again, b.BackToOrder)),
    *(b.ChooseLanguage(locale=locale) for locale in LOCALES),
    *(b.Cabinet(section=section, value=2**53) for section in get_args(b.Section)),
    *(b.Repair(draft=DRAFT, part=part) for part in ("", "photo", "product")),
    *(b.TellMe(draft=draft) for draft in ("", DRAFT)),
    *(b.Video(do=do, position=2**53) for do in ("show", "again", "file")),
    *(b.MyData(do=do, at=2**33) for do in ("show", "export", "ask", "sure", "erase")),
    *(b.Reminders(on=on) for on in (True, False)),
    *(b.Again(draft=DRAFT, view=view) for view in get_args(b.AgainView)),
    b.Rate(job=DRAFT, stars=5),
    b.Order(draft=DRAFT, version=9999),
    *(b.CardButton(do="style", value=style, draft=DRAFT, version=9999) for style in load_styles()),
    b.CardButton(do="view", value="product", draft=DRAFT, version=9999),
    b.CardButton(do="format", value="16:9", draft=DRAFT, version=9999),
    b.CardButton(do="words", value="product9999999", draft=DRAFT, version=9999),
    *(kind(draft=draft) for kind in (b.TopUp, b.Packages) for draft in ("", DRAFT)),
    b.Packages(draft=DRAFT, payment=DRAFT),
    *(b.Buy(package="p" * PACKAGE_CHARS, draft=draft) for draft in ("", DRAFT)),
    *(b.PayBy(provider=p, package="p" * PACKAGE_CHARS, draft=DRAFT) for p in ("yookassa", "stars")),
    b.CheckPayment(payment=DRAFT),
    b.AdminDo(digest=DRAFT),
    b.AdminDrop(),
    b.AcceptTerms(version="2026-11"),
]


@each("button", MADE)
def test_a_button_fits_and_comes_back(button: CallbackData) -> None:
    packed = button.pack()
    assert 1 <= len(packed.encode()) <= 64
    assert type(button).unpack(packed) == button
    for other in {type(made) for made in MADE} - {type(button)}:
        with pytest.raises((ValueError, TypeError)):
            other.unpack(packed)


def test_every_kind_of_button_is_tested() -> None:
    kinds: set[Any] = {
        kind for kind in vars(b).values() if isinstance(kind, type) and issubclass(kind, CallbackData)
    }
    assert kinds - {CallbackData, b.OfDraft} == {type(made) for made in MADE}
