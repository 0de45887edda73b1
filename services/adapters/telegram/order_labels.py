"""Labels of an order for bot and notifier alike, localized.

One wording for each thing. The texts are in a catalogue of their own, which either side's falls back on:
`Catalogues(…, *SHARED)`.
"""

import html
from typing import Final, Literal

from aiogram.utils.i18n import get_i18n, ngettext
from aiogram.utils.i18n import gettext as _

from services.generation.prompts.styles import load_styles
from services.generation.prompts.templates import clip
from services.platform.catalogues import N_

SHARED: Final = ("services.adapters.telegram", "order")
QUOTED_CHARS: Final = 160

LineState = Literal["queued", "writing", "waiting", "rendering", "retrying", "done", "failed", "gifted"]
"""Where a video stands for its seller. `waiting`: its script is written, but no place is free yet."""

STATES: Final[dict[LineState, str]] = {
    "queued": N_("⏳ in the queue"),
    "writing": N_("✍️ writing the script"),
    "waiting": N_("⏳ the script is ready, in the queue"),
    "rendering": N_("🎬 rendering the video"),
    "retrying": N_("🔁 the service stumbled, trying again"),
    "done": N_("✅ done"),
    "failed": N_("❌ did not work out, the credits are back"),
    "gifted": N_("🎁 came late, a gift"),
}
_FORMATS: Final = {
    "9:16": N_("9:16 vertical"),
    "1:1": N_("1:1 square"),
    "16:9": N_("16:9 wide"),
    "photo": N_("as the photo"),
}


def state_name(state: LineState) -> str:
    return _(STATES[state])


def credits_text(number: int) -> str:
    return ngettext("{n} credit", "{n} credits", number).format(n=number)


def balance_text(balance: int) -> str:
    return _("Your balance: {balance}.").format(balance=credits_text(balance))


def create_text(price: int) -> str:
    """The button that places an order, on its card or beside money."""
    return _("✅ Create for {price}").format(price=credits_text(price))


def videos_text(number: int) -> str:
    return ngettext("{n} video", "{n} videos", number).format(n=number)


def seconds_text(number: int) -> str:
    return _("{n} s").format(n=number)


def format_name(sides: str) -> str:
    return _(_FORMATS[sides]) if sides in _FORMATS else sides


def style_name(style: str) -> str:
    """The style's name; its key once it is not on offer any more."""
    found = load_styles().get(style)
    return in_words(found.name) if found else style


def in_words(words: dict[str, str]) -> str:
    """What a data file says in the current language."""
    return words.get(get_i18n().current_locale) or words["en"]


def order_title(*, over: bool = False) -> str:
    return _("<b>Your order is finished</b>") if over else _("<b>Your order</b>")


def what_lines(product: str, style: str) -> list[str]:
    """Product and style; a line for each that is known."""
    words = html.escape(clip(product, QUOTED_CHARS), quote=False)
    parts = [_("📦 Product: {text}").format(text=words)] if product else []
    if style in load_styles():
        name = html.escape(style_name(style), quote=False)
        parts.append(_("🎨 Style: {style}").format(style=name))
    return parts


def made_lines(sides: str, seconds: int, number: int = 0) -> list[str]:
    """Format, length and number, as far as known, in a line."""
    known = [format_name(sides)] if sides else []
    known += [seconds_text(seconds)] if seconds else []
    known += [videos_text(number)] if number else []
    return ["📐 " + " · ".join(known)] if known else []
