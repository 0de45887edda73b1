"""Event fields the invariants read, and findings about misplaced rows."""

from typing import Any, Final, get_args

import msgspec

from events.account import AccountEvent, CreditEvent
from events.codec import DECODE, EVENT_TYPES
from events.job import JobEvent
from events.payment import PaymentEvent
from events.promo import PromoEvent
from events.system import SystemEvent
from projections.verify.findings import Findings

SPENT: Final = "spent:generation"

Row = Any
"""A tuple or record: position, stream, version, type, events in the command, time in µs, data if in READ."""

SAID: Final = frozenset(("SubmissionFailed", "JobFailed", "PaymentCancelled", "PaymentExpired"))
"""Read only for their codes: a sentence there is found as unreadable."""

READ: Final = frozenset((
    *SAID, *(cls.__name__ for cls in get_args(CreditEvent)), "JobQueued", "JobRequeued", "PaymentOrdered",
    "PaymentSucceeded", "PaymentFlagged", "PaymentRefunded", "RefundIntended", "RefundFailed",
    "ClockCorrected", "ChangeProposed", "ChangeApproved", "ChangeWithdrawn",
))  # fmt: skip
"""The types whose data is needed."""

OF_ACCOUNTS: Final = frozenset(cls.__name__ for cls in get_args(AccountEvent))
OF_JOBS: Final = frozenset(cls.__name__ for cls in get_args(JobEvent))
OF_PAYMENTS: Final = frozenset(cls.__name__ for cls in get_args(PaymentEvent))
OF_PROMOS: Final = frozenset(cls.__name__ for cls in get_args(PromoEvent))
OF_SYSTEM: Final = frozenset(cls.__name__ for cls in get_args(SystemEvent))
OUTCOMES: Final = {"JobSucceeded": "succeeded", "JobFailed": "failed"}
MOVES: Final = frozenset(("JobQueued", "VideoGifted", *OUTCOMES))
"""The job's events that the books must know of."""


def read(row: Row, findings: Findings) -> Any:
    """The row's event; None, with a finding, when it cannot be read."""
    try:
        return DECODE[row[3]](row[6] or "")
    except (KeyError, msgspec.DecodeError, UnicodeError) as error:
        findings.add("unreadable", row[0], f"{row[3]} at position {row[0]} cannot be read: {error}")
        return None


def wrong_version(findings: Findings, at: int, stream: str, version: int, expected: int) -> None:
    findings.add("stream", at, f"{stream} has version {version} where {expected} should be")


def misplaced(findings: Findings, row: Row) -> None:
    at, stream, _, name, *_ = row
    if name in EVENT_TYPES:
        findings.add("stream", at, f"{name} at position {at} cannot stand in {stream}")
    else:
        findings.add("unreadable", at, f"unknown event type {name!r} at position {at}")


def broken_command(findings: Findings, at: int, left: int) -> None:
    if left:
        message = f"a command begins at position {at} where {left} events of the one before should stand"
    else:
        message = f"position {at} belongs to no command: the one before it is complete"
    findings.add("command", at, message)
