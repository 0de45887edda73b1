"""What the rules say of gifts that were not given as they should be."""

import msgspec

from events.account import AccountOpened, CreditsGranted, InvitationRewarded
from events.promo import PromoCreated, PromoDisabled, PromoRedeemed
from projections.verify.findings import Findings
from projections.verify.invariants.promotions import Gifts
from tests.support.each import each

MADE = ("promo-P", PromoCreated("P", 3, 1, 1_000, None, "o", "r"))
USED = ("promo-P", PromoRedeemed("a", 1))
GRANT = ("account-a", CreditsGranted(3, "promo", "P", 1, "promo:P"))
INVITED = ("account-f", AccountOpened("referral", "a"))
REWARDED = ("account-f", InvitationRewarded("a", 2, 5, purchase="yookassa:yk-1"))
BOTH = ("account-f", InvitationRewarded("a", 2, 5, "j", "yookassa:yk-1"))
HERE = ("account-f", CreditsGranted(2, "referral", "invitation", 1, "referral:f"))
THERE = ("account-a", CreditsGranted(5, "referral", "invitation", 1, "referral:f"))


def said(*commands, after=0, now_us=10):
    findings, at = Findings(), 0
    gifts = Gifts(findings, after)
    for command in commands:
        rows: list[tuple[object, ...]] = []
        for stream, event in command:
            at += 1
            data = msgspec.json.encode(event).decode()
            rows.append((at, stream, 1, type(event).__name__, at - len(rows), now_us, data))
        gifts.command(rows)
    assert {problem.kind for problem in findings.problems} <= {"gift"}
    return [problem.message for problem in findings.problems]


def test_what_is_as_it_should_be_is_not_spoken_of():
    by_hand = ("account-x", CreditsGranted(9, "promo", "sorry", 1, "a ticket"))
    assert said([MADE], [USED, GRANT], [INVITED], [REWARDED, HERE, THERE], [by_hand]) == []
    assert said([INVITED], [("account-f", InvitationRewarded("a", 0, 5)), THERE]) == []


B_USED = ("promo-P", PromoRedeemed("b", 1))
B_GRANT = ("account-b", CreditsGranted(3, "promo", "P", 1, "promo:P"))
OVER = ("promo-P", PromoDisabled("o", "r"))


@each(
    ("commands", "words"),
    [
        ([[MADE], [MADE]], "made again"),
        ([[USED, GRANT]], "never made"),
        ([[MADE], [USED]], "without its 3 credits"),
        ([[MADE], [USED], [GRANT]], "without its 3 credits"),
        ([[MADE], [GRANT]], "which gave none"),
        ([[MADE], [USED, GRANT], [USED, GRANT]], "used again by account a"),
        ([[MADE], [USED, GRANT], [B_USED, B_GRANT]], "2 times, 1 were allowed"),
        ([[MADE], [OVER], [USED, GRANT]], "when it was over"),
        ([[MADE], [USED, ("account-a", msgspec.structs.replace(GRANT[1], amount=4))]], "which gave none"),
        ([[MADE], [USED, ("account-a", msgspec.structs.replace(GRANT[1], lot=2))]], "without its 3"),
        ([[("account-a", AccountOpened("referral", "a"))]], "invited by itself"),
        ([[INVITED], [("account-a", AccountOpened("referral", "f"))]], "by whom it had invited"),
        ([[REWARDED, HERE, THERE]], "an invitation it never had"),
        ([[INVITED], [BOTH, HERE, THERE]], "for a video and a purchase at once"),
        ([[INVITED], [REWARDED, HERE, THERE], [REWARDED, HERE, THERE]], "rewarded again"),
        ([[INVITED], [REWARDED, HERE]], "did not get its 5 credits"),
        ([[INVITED], [REWARDED, THERE]], "did not get its 2 credits"),
        ([[INVITED], [HERE]], "which gave none"),
    ],
)
def test_what_is_wrong_is_said(commands, words):
    assert any(words in message for message in said(*commands))


def test_after_its_end_a_code_is_over():
    late_us = 1_000 + 130_000_000  # it may be decided so long before its stamp
    assert said([MADE], [USED, GRANT], now_us=late_us - 1) == []
    assert "when it was over" in said([MADE], [USED, GRANT], now_us=late_us)[0]


def test_what_was_before_the_place_to_begin_at_is_known_and_not_spoken_of():
    assert said([MADE], [USED], [B_USED, B_GRANT], after=2) == ["promo-P was used 2 times, 1 were allowed"]
    assert said([MADE], [USED], after=2) == []
