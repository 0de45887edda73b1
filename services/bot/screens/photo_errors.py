"""What to tell a person whose photo cannot be used."""

from aiogram.utils.i18n import gettext as _

from services.adapters.telegram.files import FileTooLargeError, TelegramFileError
from services.bot import photos as e
from services.bot.inputs import quote
from services.bot.photos import SIDE_MIN


def photo_problem(error: e.PhotoError | TelegramFileError) -> str:
    """What is wrong with it, and what to send instead."""
    match error:
        case FileTooLargeError() | e.TooManyBytesError():
            return _("📦 This file is larger than 20 MB. Please send a smaller one, or send it as a photo.")
        case TelegramFileError():
            return _("📷 Telegram did not hand over this file. Please send the photo once more.")
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
