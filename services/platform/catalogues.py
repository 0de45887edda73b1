"""Catalogues of translations: `<package>/locales/<locale>/LC_MESSAGES/<domain>.po`, msgids in English.

Only `.po` is kept; it is compiled in memory when a process starts, so no compiled file can be out of date.
"""

import gettext
import io
from datetime import timedelta, timezone
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALES: Final = ("ru", "en")
DEFAULT_LOCALE: Final = "ru"
MOSCOW: Final = timezone(timedelta(hours=3))
"""Russian texts say its time; nobody's place is known."""


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
