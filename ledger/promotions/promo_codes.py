"""Rules of promo codes: pure functions over code and account.

Races for the last use, or of one person in two processes: every redeeming reads the code's stream and the
account's, and the log takes one command after another, so the second sees what the first wrote. The key (code
and account) makes a repeated request the same request.
"""

import re
import unicodedata
from typing import Final, assert_never

import msgspec
from msgspec.structs import replace

from events.promo import PromoCreated, PromoDisabled, PromoEvent, PromoRedeemed
from events.stream_names import promo_stream
from ledger import errors
from ledger.accounts.decider import (
    AMOUNT_MAX,
    NewEvents,
    View,
    account_of,
    grant,
    require_open,
    require_said,
    state_of,
)
from ledger.accounts.state import AccountState
from ledger.commands import GrantCredits
from ledger.promotions.commands import CreatePromo, DisablePromo, PromoCommand, RedeemPromo

USES_MAX: Final = 10_000
"""Of one code. A process that meets it first folds its whole stream; who needs more makes more codes."""

_CODE: Final = re.compile(r"[A-Z0-9][A-Z0-9-]{2,31}")
_LOOKALIKES: Final = str.maketrans("АВЕКМНОРСТУХ", "ABEKMHOPCTYX")
"""Cyrillic capitals that nobody can tell from Latin ones."""


class PromoState(msgspec.Struct, frozen=True):
    """What the rules need to know of a code; it was `used` so many times.

    A count and no list of accounts: each account knows the codes it has used (`AccountState.promos`), and
    both streams are read for every redeeming. So the state stays as small for the last use as for the first.
    `broken` says why an event could not be read: then nothing is redeemed.
    """

    created: PromoCreated | None = None
    disabled: bool = False
    used: int = 0
    broken: str = ""


def evolve(state: PromoState, event: PromoEvent) -> PromoState:
    match event:
        case PromoCreated():
            return replace(state, created=event)
        case PromoDisabled():
            return replace(state, disabled=True)
        case PromoRedeemed():
            return replace(state, used=state.used + 1)
        case _ as never:
            assert_never(never)


def decide(view: View, command: PromoCommand, now_us: int) -> NewEvents:
    """The command's events with their streams. Raises RejectedError."""
    state = state_of(view, promo_stream(command.code), PromoState)
    match command:
        case CreatePromo():
            return create(state, command, now_us)
        case DisablePromo():
            return disable(state, command)
        case RedeemPromo():
            return redeem(state, account_of(view, command.account), command, now_us)
        case _ as never:
            assert_never(never)


def normalised(text: str) -> str:
    """`" spring 25"` → `SPRING25`: case, spaces and Cyrillic look-alikes make no difference."""
    plain = unicodedata.normalize("NFKC", text).upper()
    return "".join(plain.split()).translate(_LOOKALIKES)


def is_code(text: str) -> bool:
    """Promo code format: 3 to 32 capitals, digits, hyphens, no hyphen first."""
    return _CODE.fullmatch(text) is not None


def reference(code: str) -> str:
    return f"promo:{code}"


def create(state: PromoState, command: CreatePromo, now_us: int) -> NewEvents:
    """PromoCreated; nothing when this very code stands."""
    created = PromoCreated(
        command.code,
        command.amount,
        command.uses_max,
        command.expires_at_us,
        command.life_s,
        command.actor,
        command.reason,
    )
    if state.created is not None or state.broken:
        if state.created == created:
            return []
        raise errors.AlreadyExistsError(f"code {command.code} exists already, and a code is never changed")
    if not is_code(command.code):
        raise errors.InvalidCommandError("a code is 3 to 32 capital letters A to Z, digits and hyphens")
    if not 0 < command.amount <= AMOUNT_MAX:
        raise errors.InvalidCommandError(f"an amount is 1 to {AMOUNT_MAX} credits, not {command.amount}")
    if not 0 < command.uses_max <= USES_MAX:
        raise errors.InvalidCommandError(f"a code has 1 to {USES_MAX} uses, not {command.uses_max}")
    if command.expires_at_us is not None and command.expires_at_us <= now_us:
        raise errors.InvalidCommandError("the code would end before it is made; give it a later end")
    if command.life_s is not None and command.life_s <= 0:
        raise errors.InvalidCommandError(f"credits that live for {command.life_s} seconds are none")
    require_said(command.actor, command.reason)
    return [(promo_stream(command.code), created)]


def disable(state: PromoState, command: DisablePromo) -> NewEvents:
    _require_created(state, command.code)
    require_said(command.actor, command.reason)
    if state.disabled:
        return []
    return [(promo_stream(command.code), PromoDisabled(command.actor, command.reason))]


def redeem(state: PromoState, account: AccountState, command: RedeemPromo, now_us: int) -> NewEvents:
    require_open(account, command.account)
    if account.forgotten:
        raise errors.AccountErasedError(f"account {command.account} was erased; it takes no gifts")
    if not account.terms:
        raise errors.TermsNotAcceptedError("agree to the terms first")
    created = _require_created(state, command.code)
    if reference(command.code) in account.promos:
        raise errors.AlreadyRedeemedError(f"account {command.account} has used code {command.code}")
    if state.disabled:
        raise errors.PromoExhaustedError("disabled")
    if created.expires_at_us is not None and created.expires_at_us <= now_us:
        raise errors.PromoExhaustedError("ended")
    if state.used >= created.uses_max:
        raise errors.PromoExhaustedError("used up")
    ends_at_us = None if created.life_s is None else now_us + created.life_s * 1_000_000
    gift = GrantCredits(
        command.account, created.amount, "promo", command.code, reference(command.code), ends_at_us
    )
    redeemed = PromoRedeemed(command.account, account.lots_made + 1)
    return [(promo_stream(command.code), redeemed), *grant(account, gift, now_us)]


def _require_created(state: PromoState, code: str) -> PromoCreated:
    if state.broken:
        raise errors.UnreadablePromoError(f"code {code} cannot be read: {state.broken}")
    if state.created is None:
        raise errors.PromoNotFoundError(f"there is no code {code}")
    return state.created
