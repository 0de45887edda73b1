"""What the rules read of an event: the fields that matter, and no more, which is what makes it fast."""

from typing import Any, Final, get_args

import msgspec

from events.account import AccountEvent, GrantKind, Paid, Part, RevokeKind
from events.codec import EVENT_TYPES
from events.job import JobEvent
from events.payment import PaymentEvent
from events.promo import PromoEvent
from projections.verify.findings import Findings
from projections.verify.invariants.jobs import Queued, Requeued
from projections.verify.invariants.payment_amounts import (
    FailedRefund,
    Flagged,
    Intended,
    Ordered,
    Succeeded,
    WentBack,
)


class Granted(msgspec.Struct, gc=False):
    """Of CreditsGranted."""

    amount: int
    kind: GrantKind
    reference: str | None = None
    expires_at_us: int | None = None
    lot: int = 0
    settled: int = 0
    paid: Paid | None = None


class Charged(msgspec.Struct, gc=False):
    """Of CreditsCharged."""

    job: str
    order: str
    amount: int
    parts: tuple[Part, ...] = ()


class Refunded(msgspec.Struct, gc=False):
    """Of CreditsRefunded."""

    job: str
    amount: int
    parts: tuple[Part, ...] = ()
    settled: int = 0


class Revoked(msgspec.Struct, gc=False):
    """Of CreditsRevoked."""

    amount: int
    reference: str | None = None
    kind: RevokeKind = "manual"
    parts: tuple[Part, ...] = ()


class Restored(msgspec.Struct, gc=False):
    """Of CreditsRestored."""

    amount: int
    reference: str
    parts: tuple[Part, ...] = ()
    settled: int = 0


class Expired(msgspec.Struct, gc=False):
    """Of CreditsExpired."""

    lot: int
    amount: int
    kind: GrantKind
    due_at_us: int


SPENT: Final = "spent:generation"

Row = Any
"""A tuple or record: position, stream, version, type, events in the command, time in µs, data if in READ."""

READ: Final[dict[str, type[Any]]] = {
    "CreditsGranted": Granted,
    "CreditsCharged": Charged,
    "CreditsRefunded": Refunded,
    "CreditsRevoked": Revoked,
    "CreditsRestored": Restored,
    "CreditsExpired": Expired,
    "JobQueued": Queued,
    "JobRequeued": Requeued,
    "PaymentOrdered": Ordered,
    "PaymentSucceeded": Succeeded,
    "PaymentFlagged": Flagged,
    "RefundIntended": Intended,
    "RefundFailed": FailedRefund,
    "PaymentRefunded": WentBack,
}
"""The types whose data is needed, and what of it."""

DECODE: Final = {name: msgspec.json.Decoder(cls).decode for name, cls in READ.items()}
OF_ACCOUNTS: Final = frozenset(cls.__name__ for cls in get_args(AccountEvent))
OF_JOBS: Final = frozenset(cls.__name__ for cls in get_args(JobEvent))
OF_PAYMENTS: Final = frozenset(cls.__name__ for cls in get_args(PaymentEvent))
OF_PROMOS: Final = frozenset(cls.__name__ for cls in get_args(PromoEvent))
OUTCOMES: Final = {"JobSucceeded": "succeeded", "JobFailed": "failed"}
MOVES: Final = frozenset(("JobQueued", "VideoGifted", *OUTCOMES))
"""The job's events that the books must know of."""

KNOWN: Final = frozenset(EVENT_TYPES)


# What is said of rows that cannot stand where they do.


def wrong_version(findings: Findings, at: int, stream: str, version: int, expected: int) -> None:
    """The stream's versions are not 1, 2, 3, …"""
    findings.add("stream", at, f"{stream} has version {version} where {expected} should be")


def misplaced(findings: Findings, row: Row) -> None:
    """The row's type is none of its stream's kind."""
    at, stream, _, name, *_ = row
    if name in KNOWN:
        findings.add("stream", at, f"{name} at position {at} cannot stand in {stream}")
    else:
        findings.add("unreadable", at, f"unknown event type {name!r} at position {at}")


def broken_command(findings: Findings, at: int, left: int) -> None:
    """A command begins too early, or goes on after its end."""
    if left:
        message = f"a command begins at position {at} where {left} events of the one before should stand"
    else:
        message = f"position {at} belongs to no command: the one before it is complete"
    findings.add("command", at, message)
