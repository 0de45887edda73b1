"""Events of an account's credits.

Amounts are whole credits above zero; the type gives the direction. No event names a person: `account` ids are
random, and the way from a Telegram user to an account is an ordinary, erasable table. `actor` is who was
authenticated, `login:<database login>`, `account:<id>` of an admin in the chat, `user:<id>` of the dashboard;
empty: no person did it.
"""

from typing import Annotated, Final, Literal

import msgspec

CODE: Final = r"\A[A-Za-z0-9_.-]{0,64}\Z"
Code = Annotated[str, msgspec.Meta(pattern=CODE)]
"""A company's code or a word of ours. Never a sentence, which may name a person and could not be erased."""

GrantKind = Literal["bonus", "purchase", "promo", "referral", "manual", "carried", "correction"]
RevokeKind = Literal["manual", "payment", "fraud", "carried"]
MoneyBehind = Literal["owed", "forfeited"]
"""`carried`: a debt that leaves an account whose person is erased, and stands again when they come back.
`correction`: what had expired by a clock that was ahead."""
ChangeKind = Literal["grant", "revoke"]


class Part(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`amount` credits of one lot; an account's lots are numbered from 1.

    `kind` and `expires_at_us` are the lot's own, so that a refund can bring back a lot used up since.
    """

    lot: int
    amount: int
    kind: GrantKind
    expires_at_us: int | None = None


class Paid(msgspec.Struct, frozen=True):
    """Money paid for a grant, in the currency's smallest unit (kopecks, Stars)."""

    amount_minor: int
    currency: str


class AccountOpened(msgspec.Struct, frozen=True):
    """Account opened, by the door `origin`, e.g. `start` or `referral`.

    `invited_by` is the inviter's account, empty for none. Said once and here, so no account can be invited
    later, by another, or by one that it has invited itself. `person` is SHA-256(salt ‖ Telegram id) in hex;
    the salt is erased with the person. Empty only when a payment's metadata restored the account.
    """

    stage = "account"
    words = "account opened ({origin}){invited_by:, invited by %}"
    origin: str = "start"
    invited_by: str = ""
    person: str = ""


class TermsAccepted(msgspec.Struct, frozen=True):
    stage = "account"
    words = "terms {terms} accepted"
    terms: str


class CreditsGranted(msgspec.Struct, frozen=True):
    """Credits came in as lot number `lot`: `issued:<kind>` → user.

    `settled` of the amount went against a balance below zero at once; the lot holds the rest. `reference`
    names e.g. a payment. Of a correction, `from_lot` is the lot whose credits come back.
    """

    book, sign = "issued:{kind}", 1
    stage = "grant"
    words = (
        "{amount}, {kind}: {reason}{paid:, paid %}{expires_at_us:, until %}"
        "{settled:, % of them against what was owed}{from_lot:, of lot %}{actor:, by %}"
    )
    amount: int
    kind: GrantKind
    reason: str
    lot: int
    reference: str | None = None
    expires_at_us: int | None = None
    settled: int = 0
    paid: Paid | None = None
    actor: str = ""
    from_lot: int | None = None


class CreditsCharged(msgspec.Struct, frozen=True):
    """Credits of `parts` spent on one job, once ever: user → `spent:generation`."""

    book, sign = "spent:generation", -1
    stage = "charge"
    words = "{amount}{parts:from lot}"
    job: str
    order: str
    amount: int
    parts: tuple[Part, ...]


class CreditsRefunded(msgspec.Struct, frozen=True):
    """The charge of one job came back whole: `spent:generation` → user.

    One refund per job, ever. `parts` have the lots' life from here on; `settled` went against a balance below
    zero. They add up to `amount`.
    """

    book, sign = "spent:generation", 1
    stage = "refund"
    words = "{amount} back{parts:to lot}: {reason}{settled:, % of them against what was owed}"
    job: str
    amount: int
    reason: str
    parts: tuple[Part, ...]
    settled: int = 0


class CreditsRevoked(msgspec.Struct, frozen=True):
    """Credits taken back: user → `revoked:<kind>`. May leave less than zero.

    What `parts` do not cover is owed. Of a money refund: `returned` is the money that goes back, of our
    `payment`. Of an operator's: whether the `money` paid for them is owed to the buyer or forfeited; None:
    nobody said.
    """

    book, sign = "revoked:{kind}", -1
    stage = "revocation"
    words = (
        "{amount} taken back{parts:from lot}: {reason}{returned:, % go back}{money:, money %}{actor:, by %}"
    )
    amount: int
    reason: str
    reference: str | None = None
    kind: RevokeKind = "manual"
    parts: tuple[Part, ...] = ()
    actor: str = ""
    returned: Paid | None = None
    payment: str = ""
    money: MoneyBehind | None = None


class CreditsRestored(msgspec.Struct, frozen=True):
    """Credits of a failed money refund came back: `revoked:payment` → user.

    `reference` is the refund. `parts` name the lots the credits were taken from, with their life from here
    on; `settled` went against a balance below zero. They add up to `amount`. `returned` is the money that
    stayed after all, of our `payment`.
    """

    book, sign = "revoked:payment", 1
    stage = "refund"
    words = (
        "{amount} back{parts:to lot}: refund {reference} failed{settled:, % of them against what was owed}"
    )
    amount: int
    reference: str
    parts: tuple[Part, ...] = ()
    settled: int = 0
    returned: Paid | None = None
    payment: str = ""


class CreditsExpired(msgspec.Struct, frozen=True):
    """Rest of a lot expired at `due_at_us`, whenever booked: user → `expired:<kind>`."""

    book, sign = "expired:{kind}", -1
    stage = "expiry"
    words = "{amount} of lot {lot} ({kind}) expired"
    lot: int
    amount: int
    kind: GrantKind
    due_at_us: int


class InvitationRewarded(msgspec.Struct, frozen=True):
    """Referral bonus for both sides, once ever per invited account.

    The grants stand in the same transaction. `credits` came here, `inviter_credits` to the inviter; 0: none.
    `job` is the first video; else `purchase` is the reference of the first purchase.
    """

    stage = "grant"
    words = (
        "invitation rewarded after the first {job:video %|purchase}{purchase: %}: {credits} here, "
        "{inviter_credits} to {inviter}"
    )
    inviter: str
    credits: int
    inviter_credits: int
    job: str = ""
    purchase: str = ""


class AccountForgotten(msgspec.Struct, frozen=True):
    """Account locked for erasure, by an operator. `reason` has nothing personal."""

    stage = "account"
    words = "who it was is forgotten"
    reason: str
    actor: str


class ChangeProposed(msgspec.Struct, frozen=True):
    """Change of credits that waits for a second person, until `ends_at_us`.

    `change` is its random name; the other fields are those of the grant or revocation to come.
    """

    stage = "account"
    words = (
        "{what} of {amount} proposed: {reason}{expires_at_us:, credits until %}{money:, money %}, by {actor}"
    )
    change: str
    what: ChangeKind
    amount: int
    reason: str
    actor: str
    ends_at_us: int
    expires_at_us: int | None = None
    money: MoneyBehind | None = None


class ChangeApproved(msgspec.Struct, frozen=True):
    """Proposal allowed; what it brings stands behind it in the same command."""

    stage = "account"
    words = "change {change} approved: {reason}, by {actor}"
    change: str
    reason: str
    actor: str


class ChangeWithdrawn(msgspec.Struct, frozen=True):
    """Proposal taken back, also by another than its proposer."""

    stage = "account"
    words = "change {change} withdrawn: {reason}, by {actor}"
    change: str
    reason: str
    actor: str


CreditEvent = (
    CreditsGranted | CreditsCharged | CreditsRefunded | CreditsRevoked | CreditsRestored | CreditsExpired
)
ChangeEvent = ChangeProposed | ChangeApproved | ChangeWithdrawn
AccountEvent = (
    AccountOpened | TermsAccepted | CreditEvent | InvitationRewarded | AccountForgotten | ChangeEvent
)
