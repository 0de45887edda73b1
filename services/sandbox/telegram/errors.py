"""How the Bot API says no: code, sentence and parameters, worded as the real server words them."""

from __future__ import annotations

from typing import Any

from events.errors import NeurocardsError

UNAUTHORIZED = "Unauthorized"
UNAUTHORIZED_MALFORMED = "Unauthorized: invalid token specified"


class BotApiError(NeurocardsError):
    """An answer with `"ok": false`; `code` is also the HTTP status."""

    def __init__(self, code: int, description: str, parameters: dict[str, Any] | None = None) -> None:
        super().__init__(f"{code} {description}")
        self.code = code
        self.description = description
        self.parameters = parameters

    def body(self) -> dict[str, Any]:
        answer: dict[str, Any] = {"ok": False, "error_code": self.code, "description": self.description}
        if self.parameters:
            answer["parameters"] = self.parameters
        return answer


def bad_request(message: str) -> BotApiError:
    return BotApiError(400, f"Bad Request: {_lower_first(message)}")


def forbidden(message: str) -> BotApiError:
    return BotApiError(403, f"Forbidden: {_lower_first(message)}")


def conflict(message: str) -> BotApiError:
    return BotApiError(409, f"Conflict: {_lower_first(message)}")


def too_large(size_bytes: int) -> BotApiError:
    return BotApiError(413, f"Request Entity Too Large: file of size {size_bytes} is too big to be uploaded")


def too_many_requests(retry_after_s: int) -> BotApiError:
    description = f"Too Many Requests: retry after {retry_after_s}"
    return BotApiError(429, description, {"retry_after": retry_after_s})


def _lower_first(message: str) -> str:
    # The real server's rule: words in capitals (BUTTON_DATA_INVALID) keep theirs.
    if len(message) > 1 and (message[1].isupper() or message[1] == "_"):
        return message
    return message[:1].lower() + message[1:]
