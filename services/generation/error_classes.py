"""Error classes and their consequences, as one table.

services/adapters/kie/failures.py tells which class an outside answer means; the worker carries out what
follows (worker/retry_policy.py, worker/steps/handle_failure.py), the notifier says the words. Every class
ends in a refund: the ledger sees to that. The outside's own words are not shown to sellers: they are in
English, about the provider, and sometimes wrong.
"""

from typing import Final, Literal

import msgspec
from msgspec.structs import replace

ErrorClass = Literal[
    "user_violation",
    "bad_image",
    "our_fault",
    "provider_auth",
    "provider_balance",
    "model_paused",
    "rate_limited",
    "transient",
    "result_broken",
    "timeout",
    "overloaded",
    "poison",
    "cancelled",
    "user_erased",
    "unclassified",
]


class ErrorPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Consequences of one error class.

    `happened` and `advice` are msgids of the notifier's catalogue. `repairs`: what the seller may change.
    `passes`: nothing but time helps. `retries`: another submission may help. `rests_key`: the provider
    account's own trouble; it rests, each of the others is tried. `pauses_model`: no job can have this model
    for now. `blames_model`: many in a row, and the model rests. `alarms`: an operator should hear of it now,
    since nothing gets better by itself. `parks`: the job is a dead letter.
    """

    happened: str
    advice: str
    repairs: tuple[Literal["photo", "product"], ...] = ()
    passes: bool = False
    retries: bool = False
    rests_key: bool = False
    pauses_model: bool = False
    blames_model: bool = False
    alarms: bool = False
    parks: bool = False


def _(msgid: str) -> str:
    return msgid  # marks a text for the catalogue; it is translated when it is shown


_UNAVAILABLE: Final = _("Videos are temporarily unavailable. It is our side, not your photo or text.")
_ALERTED: Final = _("We have been alerted. Please try again in an hour: the same photo and text will do.")
_BUSY: Final = _("The video service is overloaded and refused again and again.")
_IN_MINUTES: Final = _("Please try again in a few minutes: the same photo and text will do.")
_UNEXPLAINED: Final = _("The video could not be made, and we do not know the reason yet.")
_LOOKING: Final = _(
    "We are looking into it. You can try again now; if it fails once more, please write to support."
)

_AWAY: Final = ErrorPolicy(happened=_UNAVAILABLE, advice=_ALERTED, passes=True, alarms=True)
_CROWDED: Final = ErrorPolicy(happened=_BUSY, advice=_IN_MINUTES, passes=True, retries=True)

POLICIES: Final[dict[str, ErrorPolicy]] = {
    "user_violation": ErrorPolicy(
        happened=_("The video service refused this request because of its content rules."),
        advice=_(
            "What helps: a photo without faces, and a text without famous people, characters, "
            "brands of others, violence or anything for adults only."
        ),
        repairs=("photo", "product"),
    ),
    "bad_image": ErrorPolicy(
        happened=_("The video service cannot work with this photo."),
        advice=_(
            "What helps: a sharp JPEG or PNG of the product alone, at least 600 pixels on each side, "
            "not a narrow strip, not a screenshot."
        ),
        repairs=("photo",),
    ),
    "our_fault": ErrorPolicy(
        happened=_("Something broke on our side. It was not your photo or text."),
        advice=_("We have been alerted and will repair it. Please try again later."),
        alarms=True,
        parks=True,
    ),
    "provider_auth": replace(_AWAY, rests_key=True),
    "provider_balance": replace(_AWAY, rests_key=True),
    "model_paused": replace(_AWAY, pauses_model=True),
    "rate_limited": _CROWDED,
    "transient": replace(_CROWDED, blames_model=True),
    "result_broken": ErrorPolicy(
        happened=_("A video was made, but its file came to us damaged."),
        advice=_("Please try again: this is rare and mostly works the second time."),
        parks=True,
        blames_model=True,
    ),
    "timeout": ErrorPolicy(
        happened=_("The video was not ready in time."),
        advice=_(
            "The service is slow at the moment; try again in half an hour. "
            "Should this video still arrive, it is yours as a gift."
        ),
        passes=True,
        blames_model=True,
    ),
    "overloaded": ErrorPolicy(
        happened=_("There are more orders than usual, and your video could not have been ready in time."),
        advice=_(
            "So we did not begin it. Please try again in half an hour: the same photo and text will do."
        ),
        passes=True,
    ),
    "poison": ErrorPolicy(happened=_UNEXPLAINED, advice=_LOOKING, alarms=True, parks=True),
    "cancelled": ErrorPolicy(
        happened=_("Support has stopped this video."),
        advice=_("You can order it again at any time; if you did not ask for this, please write to support."),
    ),
    "user_erased": ErrorPolicy(
        happened=_("Your data was erased, so this video was stopped."),
        advice=_("To begin anew, send /start."),
    ),
    "unclassified": ErrorPolicy(happened=_UNEXPLAINED, advice=_LOOKING, blames_model=True, parks=True),
}


def policy_for(error_class: str) -> ErrorPolicy:
    """The class's policy; `unclassified`'s for one this version does not know."""
    return POLICIES.get(error_class, POLICIES["unclassified"])
