"""What may be asked about promo codes and invitations. Everybody uses the same keys, `key_of`."""

from typing import assert_never

import msgspec


class CreatePromo(msgspec.Struct, frozen=True):
    """Make a code, written as `ledger.promotions.promo_codes.normalised` writes it. Times and amounts as in
    PromoCreated."""

    code: str
    amount: int
    uses_max: int
    expires_at_us: int | None
    life_s: int | None
    actor: str
    reason: str


class DisablePromo(msgspec.Struct, frozen=True):
    """Let the code give nothing more. Asking twice changes nothing."""

    code: str
    actor: str
    reason: str


class RedeemPromo(msgspec.Struct, frozen=True):
    """Use the code, once per account."""

    code: str
    account: str


class RewardInvitation(msgspec.Struct, frozen=True):
    """Give both sides their bonus for the invited `account`; `job` is its first video, empty: a purchase.

    A bonus of 0 credits is none.
    """

    account: str
    inviter: str
    credits: int
    inviter_credits: int
    job: str = ""


PromoCommand = CreatePromo | DisablePromo | RedeemPromo
GiftCommand = PromoCommand | RewardInvitation


def key_of(command: GiftCommand) -> str:
    match command:
        case CreatePromo():
            return f"promo-created:{command.code}"
        case DisablePromo():
            return f"promo-disabled:{command.code}"
        case RedeemPromo():
            return f"promo:{command.code}:{command.account}"
        case RewardInvitation():
            return f"referral:{command.account}"
        case _ as never:
            assert_never(never)
