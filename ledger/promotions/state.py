"""What the rules know of a promo code, folded from its events. Pure: no clock, no randomness, no I/O.

A count and no list of accounts: each account knows the codes it has used (`AccountState.promos`), and both
streams are read for every redeeming. So the state stays as small for the last use as for the first.
"""

from typing import assert_never

import msgspec
from msgspec.structs import replace

from events.promo import PromoCreated, PromoDisabled, PromoEvent, PromoRedeemed


class PromoState(msgspec.Struct, frozen=True):
    """`used` so many times. `broken` says why an event could not be read: then nothing is redeemed."""

    created: PromoCreated | None = None
    disabled: bool = False
    used: int = 0
    broken: str = ""


def evolve(state: PromoState, event: PromoEvent) -> PromoState:
    """The state after `event`."""
    match event:
        case PromoCreated():
            return replace(state, created=event)
        case PromoDisabled():
            return replace(state, disabled=True)
        case PromoRedeemed():
            return replace(state, used=state.used + 1)
        case _ as never:
            assert_never(never)
