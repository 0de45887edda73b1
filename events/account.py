"""What can happen to a user's account. Amounts are whole credits above zero; the type gives the direction.

An event names no person: `account` ids are random, and the way from a Telegram user to an account is an
ordinary, erasable table.
"""

from typing import Literal

import msgspec

GrantKind = Literal["bonus", "purchase", "promo", "referral", "manual", "carried"]
RevokeKind = Literal["manual", "payment", "fraud", "carried"]
"""`carried`: a debt that leaves an account whose person is erased, and stands again when they come back."""


class Part(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`amount` credits of one lot: an account's grants are lots, numbered 1, 2, 3, … as they come in.

    `kind` and `expires_at_us` are the lot's own, repeated here so that a refund can bring back a lot that has
    been used up since, and an auditor needs no second look.
    """

    lot: int
    amount: int
    kind: GrantKind
    expires_at_us: int | None = None


class Paid(msgspec.Struct, frozen=True):
    """What was paid for a grant, in the currency's smallest unit (kopecks, Stars)."""

    amount_minor: int
    currency: str


class AccountOpened(msgspec.Struct, frozen=True):
    """An account exists from here on. `origin` says by which door, e.g. `start` or `referral`.

    `invited_by` is the account whose link brought it, empty for none. It is said once and here, so nobody can
    be invited later, by another, or by someone whom they have invited themselves.
    """

    origin: str = "start"
    invited_by: str = ""


class TermsAccepted(msgspec.Struct, frozen=True):
    """The user agreed to the named version of the terms."""

    terms: str


class CreditsGranted(msgspec.Struct, frozen=True):
    """Credits came in as lot number `lot`: `issued:<kind>` → user. `reference` names e.g. a payment.

    `settled` of the amount went against a balance below zero at once; the lot holds the rest. `actor` is the
    operator who gave them, empty otherwise.
    """

    amount: int
    kind: GrantKind
    reason: str
    lot: int
    reference: str | None = None
    expires_at_us: int | None = None
    settled: int = 0
    paid: Paid | None = None
    actor: str = ""


class CreditsCharged(msgspec.Struct, frozen=True):
    """Credits were spent on one job: user → `spent:generation`. One charge per job, ever.

    `parts` say from which lots; they add up to `amount`.
    """

    job: str
    order: str
    amount: int
    parts: tuple[Part, ...]


class CreditsRefunded(msgspec.Struct, frozen=True):
    """The charge of one job came back whole: `spent:generation` → user. One refund per job, ever.

    `parts` say to which lots, with their life from here on; `settled` went against a balance below zero. They
    add up to `amount`.
    """

    job: str
    amount: int
    reason: str
    parts: tuple[Part, ...]
    settled: int = 0


class CreditsRevoked(msgspec.Struct, frozen=True):
    """Granted credits were taken back: user → `revoked:<kind>`. May leave less than zero.

    `parts` say from which lots; what they do not cover is owed. `actor` is the operator, empty otherwise.
    """

    amount: int
    reason: str
    reference: str | None = None
    kind: RevokeKind = "manual"
    parts: tuple[Part, ...] = ()
    actor: str = ""


class CreditsRestored(msgspec.Struct, frozen=True):
    """Credits taken for a refund came back, since the money did not go: `revoked:payment` → user.

    `reference` is the refund. `parts` say to which lots, with their life from here on: those that the credits
    were taken from. `settled` went against a balance below zero. They add up to `amount`.
    """

    amount: int
    reference: str
    parts: tuple[Part, ...] = ()
    settled: int = 0


class CreditsExpired(msgspec.Struct, frozen=True):
    """What was left of a lot at the end of its life: user → `expired:<kind>`.

    Its life ended at `due_at_us`, whenever that was booked: from then on the credits could not be spent.
    """

    lot: int
    amount: int
    kind: GrantKind
    due_at_us: int


class InvitationRewarded(msgspec.Struct, frozen=True):
    """The invited account has bought or made a first video, and both sides got their bonus: once, ever.

    The grants stand in the same transaction. `credits` came here, `inviter_credits` to the inviter; 0: none.
    `job` is the video that counts, empty when it was a purchase.
    """

    inviter: str
    credits: int
    inviter_credits: int
    job: str = ""


class AccountForgotten(msgspec.Struct, frozen=True):
    """Whoever this was asked to be erased: profile, texts and photos go, the account's credits are locked.

    `actor` is the operator who saw to it, `reason` their words, without anything personal.
    """

    reason: str
    actor: str


CreditEvent = (
    CreditsGranted | CreditsCharged | CreditsRefunded | CreditsRevoked | CreditsRestored | CreditsExpired
)
AccountEvent = AccountOpened | TermsAccepted | CreditEvent | InvitationRewarded | AccountForgotten
