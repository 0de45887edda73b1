"""Invitations: who is invited, and who gets a bonus for it, once."""

import pytest
from msgspec.structs import replace

from events.account import AccountOpened, CreditsGranted, InvitationRewarded
from ledger import commands as c
from ledger.accounts.state import AccountState, evolve
from ledger.decider import decide, streams_read
from ledger.errors import (
    AccountErasedError,
    AccountNotOpenError,
    InvalidCommandError,
    NotDueError,
    UnreadableAccountError,
)
from ledger.jobs.state import JobState
from ledger.promotions import commands as g
from tests.support.each import each

MEMBER = AccountState(opened=True, terms="1")
FRIEND = replace(MEMBER, invited_by="a", bought=True)
REWARD = g.RewardInvitation("f", "a", 2, 5)
OPEN = c.OpenAccount("f", "0" * 64, "referral", "a")


def when(command, friend=FRIEND, inviter=MEMBER, job=None):
    view = {"account-f": friend, "account-a": inviter, "job-j": job}
    return decide(view, command, 10)


def test_a_new_account_remembers_who_invited_it():
    made = when(OPEN, AccountState())
    assert made == [("account-f", AccountOpened("referral", "a", "0" * 64))]
    assert evolve(AccountState(), made[0][1]).invited_by == "a"


def test_an_account_that_is_open_is_invited_by_nobody():
    assert when(OPEN, MEMBER) == []
    assert when(OPEN, FRIEND) == []


@each(
    ("inviter", "error"),
    [(AccountState(), AccountNotOpenError), (replace(MEMBER, forgotten=True), AccountErasedError)],
)
def test_who_is_not_there_invites_nobody(inviter, error):
    with pytest.raises(error):
        when(OPEN, AccountState(), inviter)


def test_nobody_invites_themselves():
    assert streams_read(replace(OPEN, invited_by="f")) == ("account-f",)
    with pytest.raises(InvalidCommandError):
        when(replace(OPEN, invited_by="f"), AccountState())


def test_both_sides_get_their_bonus_in_one_command():
    assert when(REWARD) == [
        ("account-f", InvitationRewarded("a", 2, 5)),
        ("account-f", CreditsGranted(2, "referral", "invitation", 1, "referral:f")),
        ("account-a", CreditsGranted(5, "referral", "invitation", 1, "referral:f")),
    ]


def test_it_is_given_once_ever():
    friend = evolve(FRIEND, InvitationRewarded("a", 2, 5))
    assert when(REWARD, friend) == []
    assert when(replace(REWARD, credits=9), friend) == []


def test_a_side_without_a_bonus_gets_none():
    made = when(replace(REWARD, credits=0))
    assert [stream for stream, _ in made] == ["account-f", "account-a"]
    assert made[0][1] == InvitationRewarded("a", 0, 5)


def test_a_debt_is_settled_by_it():
    _, _, (_, granted) = when(REWARD, inviter=replace(MEMBER, debt=3, balance=-3))
    assert granted.settled == 3


def test_an_inviter_who_was_erased_gets_nothing_and_the_friend_all_the_same():
    made = when(REWARD, inviter=replace(MEMBER, forgotten=True))
    assert made[0][1] == InvitationRewarded("a", 2, 0)
    assert len(made) == 2


def test_a_video_counts_when_it_is_the_friends_own_and_done():
    friend, command = replace(FRIEND, bought=False), replace(REWARD, job="j")
    made = when(command, friend, job=JobState(account="f", outcome="succeeded"))
    assert made[0][1] == InvitationRewarded("a", 2, 5, "j")
    for job in (
        JobState(),
        JobState(account="f"),
        JobState(account="f", outcome="failed"),
        JobState(account="x", outcome="succeeded"),
    ):
        with pytest.raises(NotDueError):
            when(command, friend, job=job)


def test_a_purchase_is_remembered_by_the_account():
    bought = evolve(replace(FRIEND, bought=False), CreditsGranted(5, "purchase", "five", 1, "yookassa:y"))
    bought = evolve(bought, CreditsGranted(5, "purchase", "five", 2, "yookassa:z"))
    assert when(REWARD, bought)[0][1] == InvitationRewarded("a", 2, 5, purchase="yookassa:y")
    video = when(replace(REWARD, job="j"), bought, job=JobState(account="f", outcome="succeeded"))
    assert video[0][1] == InvitationRewarded("a", 2, 5, "j"), "it was not the purchase"
    with pytest.raises(NotDueError):
        when(REWARD, replace(FRIEND, bought=False))


@each(
    ("friend", "error"),
    [
        (MEMBER, InvalidCommandError),
        (replace(FRIEND, invited_by="x"), InvalidCommandError),
        (replace(FRIEND, forgotten=True), AccountErasedError),
        (AccountState(), AccountNotOpenError),
    ],
)
def test_nothing_is_given_without_the_invitation(friend, error):
    with pytest.raises(error):
        when(REWARD, friend)


def test_who_was_invited_by_nobody_is_invited_by_nobody():
    with pytest.raises(InvalidCommandError, match="was not invited by"):
        decide(
            {"account-f": replace(FRIEND, invited_by=""), "account-": MEMBER}, replace(REWARD, inviter=""), 10
        )


def test_an_inviter_who_is_not_there_or_cannot_be_read_is_said():
    nothing_for_them = replace(REWARD, inviter_credits=0)
    with pytest.raises(AccountNotOpenError):
        when(nothing_for_them, inviter=AccountState())
    with pytest.raises(UnreadableAccountError):
        when(nothing_for_them, inviter=replace(MEMBER, broken="torn"))
