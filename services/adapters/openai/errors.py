"""OpenAI's errors, reduced to one of a few reasons."""

from typing import Final, Literal

import openai

from events.errors import NeurocardsError

Reason = Literal[
    "quota", "auth", "region", "model", "rate_limited", "refused", "bad_request", "bad_answer", "timeout",
    "unavailable", "photo",
]  # fmt: skip

LASTING: Final[frozenset[Reason]] = frozenset({"quota", "auth", "region", "model"})
"""A person has to act: money, a key, another network, a model that exists."""

UNREACHED: Final[frozenset[Reason]] = frozenset({"timeout", "unavailable"})
"""Nothing is known of what OpenAI would have said; every other reason is an answer."""

_DETAIL_CHARS_MAX: Final = 300


class OpenAINoAnswerError(NeurocardsError):
    """No usable answer. `reason` is fit for an event; `detail`, OpenAI's own words, for the log."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"no answer from OpenAI: {reason} {detail}".strip())
        self.reason: Reason = reason
        self.detail = detail[:_DETAIL_CHARS_MAX]


def reason_of(error: BaseException) -> Reason:
    code = getattr(error, "code", None)
    match error:
        case openai.RateLimitError():
            return "quota" if code == "insufficient_quota" else "rate_limited"
        case openai.AuthenticationError():
            return "auth"
        case openai.PermissionDeniedError():
            return "region" if code == "unsupported_country_region_territory" else "auth"
        case openai.NotFoundError():  # also the path, where a compatible service lacks one
            return "model"
        case openai.BadRequestError():
            return "refused" if code == "content_policy_violation" else "bad_request"
        case openai.APITimeoutError() | TimeoutError():
            return "timeout"
        case openai.InternalServerError() | openai.APIConnectionError():
            return "unavailable"
        case openai.APIStatusError():
            return "bad_request"
        case _:  # an HTML page or half a JSON surfaces as whatever the SDK stumbled over
            return "bad_answer"
