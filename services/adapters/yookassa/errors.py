"""Errors of speaking to YooKassa: refusals, and calls without an answer."""

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
