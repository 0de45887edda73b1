"""The styles on offer, and what is said about broken ones."""

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from services.generation.catalogue import load_catalogue
from services.generation.prompts import styles, templates
from services.generation.prompts.styles import Style, StyleError, load_styles, parse_styles
from tests.support.each import each

CATALOGUE = load_catalogue()
UGC = load_styles()["ugc"]


def test_the_styles_on_offer_are_whole() -> None:
    templates.check_styles(CATALOGUE)
    assert len(load_styles()) >= 8
    assert [name for name, style in load_styles().items() if style.own_prompt] == ["own"]
    assert all(len(style.line[code]) <= 60 for style in load_styles().values() for code in ("ru", "en"))
    assert {style.example for style in load_styles().values()} == {""}, "never an invented one"


@each(
    ("broken", "reason"),
    [
        (replace(UGC, models=("gone/model",)), "no model gone/model"),
        (replace(UGC, models=("sora-2-image-to-video",)), "no enabled model"),
        (replace(UGC, seconds=(40,)), "no enabled model"),
        (replace(UGC, formats=()), "has formats"),
        (replace(UGC, line={"ru": "Живо"}), "has formats"),
        (replace(UGC, template="missing"), "cannot be read"),
    ],
)
def test_a_broken_style_is_named(monkeypatch: pytest.MonkeyPatch, broken: Style, reason: str) -> None:
    def load() -> Mapping[str, Style]:
        return {"ugc": UGC, "commercial": UGC, "mine": broken}

    templates.template.cache_clear()
    monkeypatch.setattr(templates, "load_styles", load)
    monkeypatch.setattr(styles, "load_styles", load)
    with pytest.raises(StyleError, match=f"(mine|missing).*{reason}"):
        templates.check_styles(CATALOGUE)
    templates.template.cache_clear()


@each(
    ("load", "reason"),
    [
        ({"handmade_jewellery_close_up": UGC}, "handmade.*button"),
        ({"ugc": replace(UGC, line={"ru": "x" * 901, "en": "x"})}, "900 characters"),
        ({"ugc": replace(UGC, example="none.mp4")}, "none.mp4 is no"),
        ({"ugc": replace(UGC, example="ugc.toml")}, "ugc.toml is no"),
    ],
)
def test_styles_that_no_card_could_show_are_named(load: Mapping[str, Style], reason: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for module in (templates, styles):
            patch.setattr(module, "load_styles", lambda: load)
        with pytest.raises(StyleError, match=reason):
            templates.check_styles(CATALOGUE)


def test_without_the_default_style_the_first_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(styles, "load_styles", lambda: {"ugc": UGC})
    assert styles.style_of("") is UGC


def test_a_file_that_is_no_list_of_styles_is_refused() -> None:
    with pytest.raises(StyleError, match="cannot be read"):
        parse_styles("[ugc]\nmark = 1")


def test_nobody_is_seen_in_a_style_without_people() -> None:
    for name, style in load_styles().items():
        if style.people == "none":
            assert templates.template(name).people(True) == templates.template(name).refused
