"""Events of one promo code. Its stream is named by the code, as `ledger.promotions.promo_codes` writes it."""

import msgspec


class PromoCreated(msgspec.Struct, frozen=True):
    """Promo code: `amount` credits, at most `uses_max` accounts, until `expires_at_us`.

    The credits live for `life_s` from the redeeming on. None: for ever, both.
    """

    stage = "promo"
    words = "code {code} gives {amount} for each of {uses_max}{expires_at_us:, until %}: {reason}, by {actor}"
    code: str
    amount: int
    uses_max: int
    expires_at_us: int | None
    life_s: int | None
    actor: str
    reason: str


class PromoDisabled(msgspec.Struct, frozen=True):
    """From here on the code gives nothing. What it gave stays."""

    stage = "promo"
    words = "code disabled: {reason}, by {actor}"
    actor: str
    reason: str


class PromoRedeemed(msgspec.Struct, frozen=True):
    """Account used the code. Its credits are granted in the same transaction, as its lot `lot`."""

    stage = "promo"
    words = "code used by account {account}"
    account: str
    lot: int


PromoEvent = PromoCreated | PromoDisabled | PromoRedeemed
