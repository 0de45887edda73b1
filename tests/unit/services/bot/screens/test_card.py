"""The order card's caption, as Telegram counts it, and its buttons."""

import html
import re
from itertools import product

from msgspec.structs import replace

from services.accounts.drafts import Draft
from services.accounts.personal_data import Brief
from services.adapters.openai.moderation import Kinds
from services.bot.screens import card, refusals
from services.bot.screens.menu import topup_button
from services.generation.prompts.styles import load_styles
from services.generation.prompts.templates import length
from tests.support.bot_session import TEXTS
from tests.support.each import each

CAPTION_MAX = 1024
ALL: Kinds = ("insult", "hate", "illegal", "self_harm", "sexual", "minors", "violence", "other")


@each("locale", ["ru", "en"])
def test_whatever_was_typed_and_whatever_is_noted_fits_a_caption_and_its_buttons(locale: str) -> None:
    with TEXTS.context(), TEXTS.use_locale(locale):
        for word, style, view in product(("<&w ", "😀"), ("", *load_styles()), ("", *card._VIEWS)):
            words = Brief(word * 400, word * 400)
            draft = Draft("d" * 24, "a5", 5, "p", "b", words, style=style, number=20, price=99, version=999)
            refused = refusals.refused_text(draft, dict.fromkeys(("photo", "product", "wishes"), ALL))
            ways = [topup_button("d" * 24), card.tell_me("d" * 24), *card.repairs(draft, ("photo", "wishes"))]
            short, late = card.short_text(999_999, -99_999), card.overloaded_text(99_999)
            for note in ("", card.unavailable_text(9e4), short, late, card.changed_text(), refused):
                shown = card.screen(replace(draft, view=view), -99_999, note, *ways)
                seen = html.unescape(re.sub(r"<[^>]+>", "", shown.text))
                assert length(seen) <= CAPTION_MAX, (style, view, note)
                rows = shown.buttons.inline_keyboard if shown.buttons else []
                assert all(len((key.callback_data or "").encode()) <= 64 for row in rows for key in row)


def test_a_model_that_takes_the_photos_proportions_is_said_to() -> None:
    with TEXTS.context(), TEXTS.use_locale("en"):
        draft = Draft("d1", "a5", 5, "p", "b", Brief("mug"), style="ugc", model="kling-2.6/image-to-video")
        assert "as the photo" in card.screen(draft, 1).text and "9:16" not in card.screen(draft, 1).text
