"""Translations of the chat, for aiogram's gettext.

texts = Catalogues("services.bot", "bot")
with texts.context(), texts.use_locale("ru"):
    gettext("Menu")                           # aiogram.utils.i18n.gettext: the current locale's
texts.gettext("Menu", locale="ru")            # or without a context
"""

import gettext
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files

from aiogram.utils.i18n import I18n

from services.platform.catalogues import DEFAULT_LOCALE, LOCALES, compiled, read_catalogue


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
