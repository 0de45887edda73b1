"""Translations: `<package>/locales/<locale>/LC_MESSAGES/<domain>.po`, msgids in English.

Only `.po` is kept; it is compiled in memory when a process starts, so no compiled file can be out of date.

    texts = Catalogues("services.bot", "bot")
    with texts.context(), texts.use_locale("ru"):
        gettext("Menu")                           # aiogram.utils.i18n.gettext: the current locale's
    texts.gettext("Menu", locale="ru")            # or without a context
"""

import gettext
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta, timezone
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from aiogram.utils.i18n import I18n
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALES: Final = ("ru", "en")
DEFAULT_LOCALE: Final = "ru"
MOSCOW: Final = timezone(timedelta(hours=3))
"""Russian texts say its time; nobody's place is known."""


class Catalogues(I18n):
    """`shared`: package and domain of a catalogue that is asked for what this one lacks."""

    def __init__(self, package: str, domain: str, *shared: str) -> None:
        self._shared = Catalogues(*shared) if shared else None
        with as_file(files(package) / "locales") as path:
            super().__init__(path=path, default_locale=DEFAULT_LOCALE, domain=domain)

    @contextmanager
    def context(self) -> Iterator["Catalogues"]:
        """Make `aiogram.utils.i18n.gettext` use these catalogues: aiogram's current is by class."""
        token = I18n.set_current(self)
        try:
            yield self
        finally:
            I18n.reset_current(token)

    @contextmanager
    def speaking(self, locale: str) -> Iterator[None]:
        """Make it use these catalogues in this language."""
        with self.context(), self.use_locale(locale):
            yield

    def find_locales(self) -> dict[str, gettext.GNUTranslations]:
        """Every catalogue of LOCALES, compiled. Raises FileNotFoundError when one is missing."""
        found = {locale: compiled(read_catalogue(self.path, locale, self.domain)) for locale in LOCALES}
        if self._shared is not None:
            for locale, texts in found.items():
                texts.add_fallback(self._shared.locales[locale])
        return found


def read_catalogue(path: Path, locale: str, domain: str) -> Catalog:
    with (path / locale / "LC_MESSAGES" / f"{domain}.po").open("rb") as file:
        return read_po(file, locale=locale, domain=domain, abort_invalid=True)


def compiled(catalogue: Catalog) -> gettext.GNUTranslations:
    """Compile a catalogue without its fuzzy entries."""
    binary = io.BytesIO()
    write_mo(binary, catalogue)
    binary.seek(0)
    return gettext.GNUTranslations(binary)


def N_(msgid: str) -> str:
    """Mark a text for the catalogues, by GNU gettext's name for it; it is translated when shown."""
    return msgid


def locale_for(language_code: str | None) -> str:
    """Locale of a Telegram language_code (IETF tag): English for `en…`, else Russian."""
    language = (language_code or "").lower().split("-")[0]
    return language if language in LOCALES else DEFAULT_LOCALE
