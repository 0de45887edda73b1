"""Changes that wait for a second person: given what happened, these events or this refusal."""

from typing import Any

import pytest
from msgspec.structs import replace

from events.account import (
    AccountForgotten,
    AccountOpened,
    ChangeApproved,
    ChangeProposed,
    ChangeWithdrawn,
    CreditsExpired,
    CreditsGranted,
    CreditsRevoked,
    Part,
)
from ledger import commands as c
from ledger.accounts.proposals import LIFE_US
from ledger.accounts.state import PROPOSALS_MAX, AccountState, evolve
from ledger.decider import decide
from ledger.errors import (
    AccountErasedError,
    AccountNotOpenError,
    ApprovalNeededError,
    ChangeClosedError,
    InvalidCommandError,
)
from tests.support.each import each

OPENED = [AccountOpened(), CreditsGranted(5, "bonus", "welcome", 1, expires_at_us=100)]
GRANT = c.ProposeChange("a", "c1", "grant", 900, "ticket 12", "user:u1", expires_at_us=10 * LIFE_US)
PROPOSED = ChangeProposed("c1", "grant", 900, "ticket 12", "user:u1", LIFE_US, expires_at_us=10 * LIFE_US)
TAKING = ChangeProposed("c1", "revoke", 7, "fraud", "user:u1", LIFE_US, money="forfeited")
APPROVE = c.ApproveChange("a", "c1", "as the ticket says", "user:u2")
APPROVED = ChangeApproved("c1", "as the ticket says", "user:u2")
FORGOTTEN = AccountForgotten("asked", "account:a")


def when(events: list[Any], command: c.Command, now_us: int = 0) -> list[Any]:
    state = AccountState()
    for event in events:
        state = evolve(state, event)
    made = decide({"account-a": state}, command, now_us)
    assert {stream for stream, _ in made} <= {"account-a"}
    return [event for _, event in made]


def test_a_proposal_is_what_was_asked_for_three_days() -> None:
    assert when(OPENED, GRANT) == [PROPOSED]


def test_an_approval_brings_what_was_proposed_in_the_proposer_s_name() -> None:
    made = CreditsGranted(900, "manual", "ticket 12", 2, expires_at_us=10 * LIFE_US, actor="user:u1")
    assert when([*OPENED, PROPOSED], APPROVE, 50) == [APPROVED, made]


def test_an_approval_books_what_has_expired_meanwhile() -> None:
    taken = CreditsRevoked(7, "fraud", actor="user:u1", money="forfeited")
    assert when([*OPENED, TAKING], APPROVE, 200) == [APPROVED, CreditsExpired(1, 5, "bonus", 100), taken]
    whole = replace(taken, parts=(Part(1, 5, "bonus", 100),))
    assert when([*OPENED, TAKING], APPROVE, 50) == [APPROVED, whole]


def test_a_withdrawal_ends_it() -> None:
    withdrawn = ChangeWithdrawn("c1", "mistyped", "user:u1")
    assert when([*OPENED, PROPOSED], c.WithdrawChange("a", "c1", "mistyped", "user:u1")) == [withdrawn]
    with pytest.raises(ChangeClosedError):
        when([*OPENED, PROPOSED, withdrawn], APPROVE)


@each(
    "events, now_us, error",
    [
        (OPENED, 0, ChangeClosedError),
        ([*OPENED, PROPOSED, APPROVED], 0, ChangeClosedError),
        ([*OPENED, PROPOSED], LIFE_US, ChangeClosedError),
        ([*OPENED, PROPOSED, FORGOTTEN], 0, AccountErasedError),
        ([], 0, AccountNotOpenError),
    ],
)
def test_an_approval_is_refused(events: list[Any], now_us: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        when(events, APPROVE, now_us)


def test_a_grant_that_would_have_ended_by_now_is_not_approved() -> None:
    with pytest.raises(InvalidCommandError, match="expire"):
        when([*OPENED, replace(PROPOSED, expires_at_us=40)], APPROVE, 50)


@each(
    "command",
    [
        replace(GRANT, amount=0),
        replace(GRANT, amount=1_000_001),
        replace(GRANT, actor=""),
        replace(GRANT, actor="ann"),
        replace(GRANT, reason=""),
        replace(GRANT, change=""),
        replace(GRANT, expires_at_us=-1),
        replace(GRANT, change="c0"),
    ],
)
def test_what_cannot_be_carried_out_is_not_proposed(command: c.ProposeChange) -> None:
    with pytest.raises(InvalidCommandError):
        when([*OPENED, replace(PROPOSED, change="c0")], command)


def test_so_many_wait_on_one_account_until_they_are_too_old() -> None:
    waiting = [replace(PROPOSED, change=f"w{number}") for number in range(PROPOSALS_MAX)]
    with pytest.raises(InvalidCommandError, match="wait on this account"):
        when([*OPENED, *waiting], GRANT)
    (proposed,) = when([*OPENED, *waiting], GRANT, LIFE_US)
    assert proposed == replace(PROPOSED, ends_at_us=2 * LIFE_US)


@each(
    "command",
    [
        c.GrantCredits("a", 10, "manual", "x", actor="user:u1"),
        c.GrantCredits("a", 10, "manual", "x", actor="user:u1", alone_below=10),
        c.RevokeCredits("a", 10, "x", actor="user:u1", alone_below=9),
    ],
)
def test_a_user_moves_alone_what_is_below_the_limit(command: c.GrantCredits | c.RevokeCredits) -> None:
    with pytest.raises(ApprovalNeededError, match="10 credits take a second person"):
        when(OPENED, command)
    assert len(when(OPENED, replace(command, alone_below=11))) == 1
    assert len(when(OPENED, replace(command, actor="login:op7", alone_below=0))) == 1


def test_how_much_one_may_alone_is_no_part_of_what_is_asked() -> None:
    grant = c.GrantCredits("a", 1, "manual", "x", actor="user:u1")
    assert c.body(grant) == c.body(replace(grant, alone_below=7))
