"""Commands about promo codes and referrals; `key_of` has their keys."""

from typing import assert_never

import msgspec


class CreatePromo(msgspec.Struct, frozen=True):
    """Create a promo code, `normalised`. Times and amounts as in PromoCreated."""

    code: str
    amount: int
    uses_max: int
    expires_at_us: int | None
    life_s: int | None
    actor: str
    reason: str


class DisablePromo(msgspec.Struct, frozen=True):
    """Disable the code. Asking twice changes nothing."""

    code: str
    actor: str
    reason: str


class RedeemPromo(msgspec.Struct, frozen=True):
    """Use the code, once per account."""

    code: str
    account: str


class RewardInvitation(msgspec.Struct, frozen=True):
    """Give both sides their bonus. `job`: the invited's first video, empty: a purchase."""

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
