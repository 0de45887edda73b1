"""Promo codes: given what was, when somebody redeems, then what is made or why not."""

import pytest
from msgspec.structs import replace

from events.account import CreditsGranted
from events.promo import PromoCreated, PromoDisabled, PromoRedeemed
from ledger.accounts import state as account_state
from ledger.accounts.decider import AMOUNT_MAX
from ledger.accounts.state import AccountState
from ledger.decider import decide, fold
from ledger.errors import (
    AccountErasedError,
    AccountNotOpenError,
    AlreadyExistsError,
    AlreadyRedeemedError,
    InvalidCommandError,
    PromoExhaustedError,
    PromoNotFoundError,
    TermsNotAcceptedError,
    UnreadablePromoError,
)
from ledger.promotions import commands as g
from ledger.promotions.promo_codes import USES_MAX, PromoState, evolve, is_code, normalised
from tests.support.each import each

CREATED = PromoCreated("SPRING", 3, 2, 1_000, 60, "login:olga", "sale")
CREATE = g.CreatePromo("SPRING", 3, 2, 1_000, 60, "login:olga", "sale")
REDEEM = g.RedeemPromo("SPRING", "a")
DISABLE = g.DisablePromo("SPRING", "login:olga", "leaked")
MEMBER = AccountState(opened=True, terms="1")


def code(*events):
    state = PromoState()
    for event in events:
        state = evolve(state, event)
    return state


def when(state, command, account=MEMBER, now_us=10):
    return decide({"promo-SPRING": state, "account-a": account}, command, now_us)


def test_a_code_gives_its_credits_with_their_life_and_says_so_on_both_sides():
    made = when(code(CREATED), REDEEM)
    granted = CreditsGranted(3, "promo", "SPRING", 1, "promo:SPRING", 60_000_010)
    assert made == [("promo-SPRING", PromoRedeemed("a", 1)), ("account-a", granted)]


def test_the_account_remembers_and_the_code_counts():
    account = account_state.evolve(MEMBER, when(code(CREATED), REDEEM)[1][1])
    with pytest.raises(AlreadyRedeemedError):
        when(code(CREATED, PromoRedeemed("a", 1)), REDEEM, account)
    assert when(code(CREATED, PromoRedeemed("b", 1)), REDEEM)
    with pytest.raises(PromoExhaustedError, match="used up"):
        when(code(CREATED, PromoRedeemed("b", 1), PromoRedeemed("c", 1)), REDEEM)


@each(
    ("state", "account", "now_us", "error"),
    [
        (code(), MEMBER, 10, PromoNotFoundError),
        (code(CREATED, PromoDisabled("o", "r")), MEMBER, 10, PromoExhaustedError),
        (code(CREATED), MEMBER, 1_000, PromoExhaustedError),
        (replace(code(CREATED), broken="?"), MEMBER, 10, UnreadablePromoError),
        (code(CREATED), AccountState(), 10, AccountNotOpenError),
        (code(CREATED), AccountState(opened=True), 10, TermsNotAcceptedError),
        (code(CREATED), replace(MEMBER, forgotten=True), 10, AccountErasedError),
    ],
)
def test_nothing_is_given(state, account, now_us, error):
    with pytest.raises(error):
        when(state, REDEEM, account, now_us)


def test_it_is_good_until_its_very_end():
    assert when(code(CREATED), REDEEM, now_us=999)


def test_an_unreadable_event_breaks_the_code_and_nothing_else():
    assert fold(code(CREATED), "PromoRedeemed", "{}").broken


def test_a_code_is_made_once_and_never_changed():
    assert when(code(), CREATE) == [("promo-SPRING", CREATED)]
    assert when(code(CREATED), CREATE) == []
    with pytest.raises(AlreadyExistsError):
        when(code(CREATED), replace(CREATE, amount=4))


@each(
    "change",
    [
        {"code": "spring"}, {"code": "AB"}, {"code": "-AB"}, {"code": "A" * 33}, {"code": "A B"},
        {"amount": 0}, {"amount": 1_000_001}, {"uses_max": 0}, {"uses_max": 10_001},
        {"expires_at_us": 10}, {"life_s": 0}, {"actor": ""}, {"reason": ""},
    ]
)  # fmt: skip
def test_a_code_that_makes_no_sense_is_refused(change):
    command = replace(CREATE, **change)
    with pytest.raises(InvalidCommandError):
        decide({f"promo-{command.code}": code()}, command, 10)


def test_a_code_is_disabled_once_by_someone_for_some_reason():
    assert when(code(CREATED), DISABLE) == [("promo-SPRING", PromoDisabled("login:olga", "leaked"))]
    assert when(code(CREATED, PromoDisabled("x", "y")), DISABLE) == []
    with pytest.raises(PromoNotFoundError):
        when(code(), DISABLE)
    with pytest.raises(InvalidCommandError):
        when(code(CREATED), replace(DISABLE, actor=""))


@each("text", ["spring-25", " SPRING -25", "ѕpring-25".upper(), "sрring-25", "SPRING-２５"])
def test_case_spaces_and_look_alikes_make_no_difference(text):
    assert normalised(text.replace("Ѕ", "S")) == "SPRING-25"


def test_what_is_no_code_is_known_without_a_look():
    assert is_code("SPRING-25")
    assert not any(map(is_code, ["", "AB", "ÄÖÜ", "A_B", "ПРИВЕТ", "A" * 33, "SPRING\n"]))


def test_whoever_asks_for_the_same_uses_the_same_key():
    reward = g.RewardInvitation("a", "b", 1, 1)
    keys = [g.key_of(command) for command in (CREATE, DISABLE, REDEEM, reward)]
    assert keys == ["promo-created:SPRING", "promo-disabled:SPRING", "promo:SPRING:a", "referral:a"]


def test_a_code_and_its_credits_may_be_for_ever():
    ever = replace(CREATED, expires_at_us=None, life_s=None)
    granted = when(code(ever), REDEEM, now_us=10**18)[1][1]
    assert (granted.amount, granted.expires_at_us) == (3, None)


def test_the_smallest_and_the_largest_that_there_may_be():
    for change in (
        {"amount": 1},
        {"amount": AMOUNT_MAX},
        {"uses_max": 1},
        {"uses_max": USES_MAX},
        {"life_s": 1},
    ):
        ((_, created),) = when(code(), replace(CREATE, **change))
        assert [getattr(created, name) for name in change] == list(change.values())
    for change in (
        {"amount": 0}, {"amount": AMOUNT_MAX + 1}, {"uses_max": 0}, {"uses_max": USES_MAX + 1}, {"life_s": 0},
    ):  # fmt: skip
        with pytest.raises(InvalidCommandError):
            when(code(), replace(CREATE, **change))


def test_a_code_that_cannot_be_read_is_not_made_anew():
    with pytest.raises(AlreadyExistsError):
        when(PromoState(broken="torn"), CREATE)
