"""What an admin asks for in the chat, read from their words. Pure. Operators' words are English.

    /grant USER N reason      /refund_job JOB reason      /user USER

USER is a Telegram id (digits) or an account's id. Nothing is done before a button is tapped; then the command
is read once more from the message above, and `digest` is how the button knows that it still says the same.
"""

import hashlib
import re
from typing import Final

import msgspec
from aiogram.types import Message

USAGE: Final = {
    "grant": "/grant USER N reason",
    "refund_job": "/refund_job JOB reason",
    "user": "/user USER",
}
CREDITS_MAX: Final = 1000
"""By hand and from a telephone; more only on the command line."""
REASON_CHARS_MAX: Final = 200
_NUMBER: Final = re.compile(r"\d{1,6}", re.ASCII)


class Grant(msgspec.Struct, frozen=True):
    """Give credits to a user."""

    user: str
    amount: int
    reason: str


class RefundJob(msgspec.Struct, frozen=True):
    """End a job that has not ended; its credits come back."""

    job: str
    reason: str


class ShowUser(msgspec.Struct, frozen=True):
    """Look at an account."""

    user: str


Wish = Grant | RefundJob | ShowUser


def read_wish(text: str) -> Wish | None:
    """None when it is not written as in USAGE."""
    command, _, rest = text.strip().partition(" ")
    words = rest.split(None, 2)
    match command.partition("@")[0].lower():
        case "/grant" if len(words) == 3 and _NUMBER.fullmatch(words[1]):
            amount, reason = int(words[1]), words[2].strip()
            if 0 < amount <= CREDITS_MAX and len(reason) <= REASON_CHARS_MAX:
                return Grant(words[0], amount, reason)
        case "/refund_job" if len(words) >= 2:
            reason = rest.split(None, 1)[1].strip()
            return RefundJob(words[0], reason) if len(reason) <= REASON_CHARS_MAX else None
        case "/user" if len(words) == 1:
            return ShowUser(words[0])
    return None


def digest(message: Message) -> str:
    """Of a command's message and its words: another message is another digest."""
    said = f"{message.chat.id}:{message.message_id}:{int(message.date.timestamp())}:{message.text}"
    return hashlib.sha256(said.encode()).hexdigest()[:24]
