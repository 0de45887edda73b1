"""Texts of the dashboard: every one in Russian, with the same placeholders."""

import re
from pathlib import Path

from babel.messages.extract import extract_from_dir

import services.dashboard
from services.platform.catalogues import read_catalogue

SOURCES = Path(services.dashboard.__file__).parent
FIELD = re.compile(r"%\(\w+\)s|%s|%%|%")


def used() -> set[str | tuple[str, ...]]:
    """Every msgid in code and templates."""
    methods = [("**.py", "python"), ("templates/**.html", "jinja2")]
    found = extract_from_dir(
        str(SOURCES), method_map=methods, options_map={"templates/**.html": {"newstyle_gettext": "true"}}
    )
    return {message if isinstance(message, str) else tuple(message) for _, _, message, *_ in found}


def test_every_text_is_in_russian_and_none_too_many() -> None:
    entries = [message for message in read_catalogue(SOURCES / "locales", "ru", "dashboard") if message.id]
    assert {m.id if isinstance(m.id, str) else tuple(m.id) for m in entries} == used()
    for message in entries:
        ids = [message.id] if isinstance(message.id, str) else list(message.id)
        said = [message.string] if isinstance(message.string, str) else list(message.string or ())
        assert all(said) and not message.fuzzy, f"not translated: {ids[0]}"
        for text in said:
            assert sorted(FIELD.findall(str(text))) == sorted(FIELD.findall(ids[-1])), ids[0]
