"""Errors of speaking to YooKassa: refusals, and calls without an answer.

YooKassaError
├── YooKassaRefusedError     it answered no: nothing was made (code, description, parameter)
│   ├── NotFoundError        it knows no such object, or it is another shop's
│   ├── BadCredentialsError  it does not take the shop's id and key
│   └── KeyTakenError        our idempotency key was used for other data: *something* was made under it
└── YooKassaNoAnswerError    nothing usable came back
    ├── UnavailableError     the request was not carried out: never sent, or turned away for now
    └── UnknownError         it may have been carried out: ask again with the same key and the same data

After YooKassaNoAnswerError the same call may always be made again: reads change nothing, and writes carry a
key.
"""

from events.errors import NeurocardsError


class YooKassaError(NeurocardsError):
    """Base of what the adapter raises."""


class YooKassaRefusedError(YooKassaError):
    """Refused, nothing was made; `code` e.g. `invalid_request`, `parameter` what it is about."""

    def __init__(self, code: str, description: str, parameter: str = "") -> None:
        about = f" ({parameter})" if parameter else ""
        super().__init__(f"YooKassa refused: {code}{about}: {description or 'no words'}")
        self.code = code
        self.description = description
        self.parameter = parameter


class NotFoundError(YooKassaRefusedError):
    """There is no such object, or it is another shop's."""


class BadCredentialsError(YooKassaRefusedError):
    """YOOKASSA_SHOP_ID and YOOKASSA_SECRET_KEY do not match, or may not do this."""


class KeyTakenError(YooKassaRefusedError):
    """The idempotency key was used within a day with other data: something was made under it."""


class YooKassaNoAnswerError(YooKassaError):
    """No usable answer; `reason` is one word for metrics and logs. The same call may always be repeated:
    reads change nothing, writes carry a key."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"YooKassa: {reason}{f': {detail}' if detail else ''}")
        self.reason = reason


class UnavailableError(YooKassaNoAnswerError):
    """Not carried out: no connection, no free thread, or too many requests."""


class UnknownError(YooKassaNoAnswerError):
    """The outcome is unknown: repeat with the same key and data."""
