"""What can happen to a user's account. Amounts are whole credits above zero; the type gives the direction.

An event names no person: `account` ids are random, and the way from a Telegram user to an account is an
ordinary, erasable table.
"""

from typing import Literal

import msgspec

GrantKind = Literal["bonus", "purchase", "promo", "referral", "manual"]


class AccountOpened(msgspec.Struct, frozen=True):
    """An account exists from here on. `origin` says by which door, e.g. `start` or `referral`."""

    origin: str = "start"


class TermsAccepted(msgspec.Struct, frozen=True):
    """The user agreed to the named version of the terms."""

    terms: str


class CreditsGranted(msgspec.Struct, frozen=True):
    """Credits came in: `issued:<kind>` → user. `reference` names what they came from, e.g. a payment."""

    amount: int
    kind: GrantKind
    reason: str
    reference: str | None = None
    expires_at_us: int | None = None


class CreditsCharged(msgspec.Struct, frozen=True):
    """Credits were spent on one job: user → `spent:generation`. One charge per job, ever."""

    job: str
    order: str
    amount: int


class CreditsRefunded(msgspec.Struct, frozen=True):
    """The charge of one job came back whole: `spent:generation` → user. One refund per job, ever."""

    job: str
    amount: int
    reason: str


class CreditsRevoked(msgspec.Struct, frozen=True):
    """Granted credits were taken back: user → `revoked:<reason>`. May leave less than zero."""

    amount: int
    reason: str
    reference: str | None = None


AccountEvent = (
    AccountOpened | TermsAccepted | CreditsGranted | CreditsCharged | CreditsRefunded | CreditsRevoked
)
