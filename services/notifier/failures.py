"""What a seller is told about a job that failed: by class, what happened and what to do.

The outside's own words are not shown: they are in English, about the provider, and sometimes wrong.
"""

from typing import Final

import msgspec


class Advice(msgspec.Struct, frozen=True):
    """Two msgids of the catalogue."""

    happened: str
    change: str


def _(msgid: str) -> str:
    return msgid  # marks a text for the catalogue; it is translated when it is shown


_UNAVAILABLE = Advice(
    _("Videos are temporarily unavailable. It is our side, not your photo or text."),
    _("We have been alerted. Please try again in an hour: the same photo and text will do."),
)
_BUSY = Advice(
    _("The video service is overloaded and refused again and again."),
    _("Please try again in a few minutes: the same photo and text will do."),
)
_UNEXPLAINED = Advice(
    _("The video could not be made, and we do not know the reason yet."),
    _("We are looking into it. You can try again now; if it fails once more, please write to support."),
)

ADVICE: Final[dict[str, Advice]] = {
    "user_violation": Advice(
        _("The video service refused this request because of its content rules."),
        _(
            "What helps: a photo without faces, and a text without famous people, characters, "
            "brands of others, violence or anything for adults only."
        ),
    ),
    "bad_image": Advice(
        _("The video service cannot work with this photo."),
        _(
            "What helps: a sharp JPEG or PNG of the product alone, at least 600 pixels on each side, "
            "not a narrow strip, not a screenshot."
        ),
    ),
    "our_fault": Advice(
        _("Something broke on our side. It was not your photo or text."),
        _("We have been alerted and will repair it. Please try again later."),
    ),
    "provider_auth": _UNAVAILABLE,
    "provider_balance": _UNAVAILABLE,
    "model_paused": _UNAVAILABLE,
    "rate_limited": _BUSY,
    "transient": _BUSY,
    "result_broken": Advice(
        _("A video was made, but its file came to us damaged."),
        _("Please try again: this is rare and mostly works the second time."),
    ),
    "timeout": Advice(
        _("The video was not ready in time."),
        _(
            "The service is slow at the moment; try again in half an hour. "
            "Should this video still arrive, it is yours as a gift."
        ),
    ),
    "cancelled": Advice(
        _("Support has stopped this video."),
        _("You can order it again at any time; if you did not ask for this, please write to support."),
    ),
    "poison": _UNEXPLAINED,
    "unclassified": _UNEXPLAINED,
}


def advice_for(error_class: str) -> Advice:
    """The words for a class; for one nobody has written words for, those of `unclassified`."""
    return ADVICE.get(error_class, _UNEXPLAINED)
