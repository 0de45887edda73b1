"""Refusals: an unusable photo, or an order that is not allowed."""

from typing import Final

from aiogram.utils.i18n import gettext as _

from ledger.errors import WhyPaused
from services.accounts.drafts import Draft
from services.adapters.openai.moderation import Kind
from services.adapters.telegram.client import FileTooLargeError, TelegramFileError
from services.bot import photos as e
from services.bot.inputs import quote
from services.bot.moderation import Findings, Part
from services.bot.photos import SIDE_MIN
from services.generation.prompts.styles import style_of
from services.platform.catalogues import N_

_KINDS: Final[dict[Kind, str]] = {
    "insult": N_("insults or threats"),
    "hate": N_("hatred towards people"),
    "illegal": N_("forbidden goods or acts"),
    "self_harm": N_("self-harm"),
    "sexual": N_("nudity or sexual content"),
    "minors": N_("sexual content with minors"),
    "violence": N_("violence or injuries"),
    "other": N_("forbidden content"),
}


_PAUSED: Final[dict[WhyPaused, str]] = {
    "paused": N_(
        "⏸ <b>We are taking no orders and no payments right now.</b> Your credits stay yours, and what you "
        "have ordered is being made. Please come back later."
    ),
    "cap": N_(
        "⏸ <b>All videos of today are taken.</b> Your credits stay yours, and what you have ordered is "
        "being made. New orders from midnight UTC."
    ),
}
_KINDS_SHOWN: Final = 3
"""All of each part would not fit on the card."""


def paused_text(why: WhyPaused) -> str:
    return _(_PAUSED[why])


def photo_problem(error: e.PhotoError | TelegramFileError) -> str:
    match error:
        case FileTooLargeError() | e.TooManyBytesError():
            return _("📦 This file is larger than 20 MB. Please send a smaller one, or send it as a photo.")
        case TelegramFileError():
            return _("📷 Telegram did not hand over this file. Please send the photo once more.")
        case e.TooManyPhotosError():
            return _(
                "🗂 That is more photos than I can keep for one day. "
                "Order with one you have sent, or come back tomorrow."
            )
        case e.TooManyPixelsError(most=most):
            return _(
                "📐 This picture has too many pixels: up to {megapixels} megapixels are fine. "
                "Please make it smaller, or send it as a photo, not as a file."
            ).format(megapixels=most // 1_000_000)
        case e.TooSmallError(width=width, height=height):
            return _(
                "🔎 This picture is too small: {width}×{height}. "
                "Each side needs at least {least} pixels. Please send a larger one."
            ).format(width=width, height=height, least=SIDE_MIN)
        case e.TooNarrowError():
            return _(
                "📏 This picture is too long and narrow for a video. Please send one closer to a square."
            )
        case e.AnimatedImageError():
            return _("🎞 This is an animation. Please send a still picture of the product.")
        case e.UnsupportedFormatError(format=name):
            return _(
                "🖼 I cannot read {format} files. Please send JPEG, PNG or WebP, or simply send it as a photo."
            ).format(format=quote(name))
        case e.DamagedImageError():
            return _("💔 This picture is damaged and does not open. Please send another one.")
        case _other:
            return _("🤔 This file is not a picture. Please send a photo of the product: JPEG, PNG or WebP.")


def refused_text(draft: Draft, findings: Findings) -> str:
    """What is wrong with each part, and what to do; stands on the card, whose buttons repair it."""
    found = [
        f"• {_part_name(part, draft.style)}: {', '.join(map(kind_name, kinds[:_KINDS_SHOWN]))}"
        for part, kinds in findings.items()
    ]
    parts = [
        _("🚫 <b>This order cannot be made as it is.</b> Nothing was charged."),
        _("An automatic check has found what the video services do not allow:") + "\n" + "\n".join(found),
        "\n".join(_advice(findings)),
    ]
    return "\n".join(parts)


def kind_name(kind: Kind) -> str:
    return _(_KINDS[kind])


def _part_name(part: Part, style: str) -> str:
    match part:
        case "photo":
            return _("📷 the photo")
        case "product":
            return _("📦 the description")
        case "wishes":
            return _("✏️ the prompt") if style_of(style).own_prompt else _("💡 the wishes")


def _advice(findings: Findings) -> list[str]:
    advice = []
    if "photo" in findings:
        advice.append(_("Send another photo: the product alone, in good light, with nobody in the picture."))
    if "product" in findings or "wishes" in findings:
        advice.append(_("Other words help: say what the product is and does, without what is named above."))
    return advice
