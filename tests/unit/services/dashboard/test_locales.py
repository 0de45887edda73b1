"""Texts of the dashboard: every one in Russian, with the same placeholders; events' words among them."""

import re
from pathlib import Path

from babel.messages.extract import extract_from_dir

import projections.reports
import services.dashboard
from events.codec import EVENT_TYPES, decode_data
from projections.reports.event_text import describe
from projections.reports.explain import Message, chain_of
from services.dashboard.names import REFUSED, refusal
from services.dashboard.render import load_texts
from services.platform.catalogues import read_catalogue
from tests.unit.events.test_golden import LINES

SOURCES = Path(services.dashboard.__file__).parent
FIELD = re.compile(r"%\(\w+\)s|%s|%%|%|\{\w+")


def used() -> set[str | tuple[str, ...]]:
    """Every msgid in code and templates."""
    methods = [("**.py", "python"), ("templates/**.html", "jinja2")]
    found = extract_from_dir(
        str(SOURCES), method_map=methods, options_map={"templates/**.html": {"newstyle_gettext": "true"}}
    )
    said = extract_from_dir(str(Path(projections.reports.__file__).parent), [("**.py", "python")])
    words = {message if isinstance(message, str) else tuple(message) for _, _, message, *_ in (*found, *said)}
    return words | {event.words for event in EVENT_TYPES.values()}


def test_every_text_is_in_russian_and_none_too_many() -> None:
    entries = [message for message in read_catalogue(SOURCES / "locales", "ru", "dashboard") if message.id]
    assert {m.id if isinstance(m.id, str) else tuple(m.id) for m in entries} == used()
    for message in entries:
        ids = [message.id] if isinstance(message.id, str) else list(message.id)
        said = [message.string] if isinstance(message.string, str) else list(message.string or ())
        assert all(said) and not message.fuzzy, f"not translated: {ids[0]}"
        for text in said:
            assert sorted(FIELD.findall(str(text))) == sorted(FIELD.findall(ids[-1])), ids[0]


def test_every_event_and_message_is_told_in_russian() -> None:
    texts = load_texts("ru")
    for line in LINES:
        event = decode_data(line.type, line.data)
        said = describe(event, texts)
        assert said != describe(event) and re.search("[а-я]", said) and "None" not in said
    for kind in ("video", "gift", "failure"):
        for state in ("sent", "sending", "failed", "skipped"):
            message = Message("j1", kind, "a", "o1", state, 5, 7, "403 blocked", 5, None)
            [step] = chain_of("job", "j1", [], [message]).steps
            assert "5 попыток" in step.told(texts) and step.told(texts).count("видео") == 1
            assert ("403" in step.what) == (state != "sent")


def test_a_refusal_is_that_of_its_class_or_of_one_above() -> None:
    class Closer(next(iter(REFUSED))):  # type: ignore[misc]
        pass

    assert refusal(Closer()) == next(iter(REFUSED.values()))
    assert refusal(ValueError()) == ""
