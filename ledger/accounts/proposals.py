"""Rules of changes that wait for a second person. Pure."""

from typing import Final, assert_never

from events.account import ChangeApproved, ChangeProposed, ChangeWithdrawn
from events.stream_names import account_stream
from ledger.accounts.decider import (
    NewEvents,
    View,
    account_of,
    grant,
    require_amount,
    require_open,
    require_said,
    revoke,
)
from ledger.accounts.state import PROPOSALS_MAX, AccountState
from ledger.commands import (
    ApproveChange,
    ChangeCommand,
    GrantCredits,
    ProposeChange,
    RevokeCredits,
    WithdrawChange,
)
from ledger.errors import AccountErasedError, ChangeClosedError, InvalidCommandError

LIFE_US: Final = 3 * 86_400_000_000


def decide(view: View, command: ChangeCommand, now_us: int) -> NewEvents:
    """The command's events with their streams. Raises RejectedError."""
    state, stream = account_of(view, command.account), account_stream(command.account)
    require_open(state, command.account)
    require_said(command.actor, command.reason)
    if state.forgotten:
        raise AccountErasedError(f"account {command.account} was erased; nothing is changed on it")
    match command:
        case ProposeChange():
            return [(stream, propose(state, command, now_us))]
        case ApproveChange():
            proposed = _open(state, command.change, now_us)
            approved = ChangeApproved(command.change, command.reason, command.actor)
            return [(stream, approved), *_carried_out(state, command.account, proposed, now_us)]
        case WithdrawChange():
            _open(state, command.change, now_us)
            return [(stream, ChangeWithdrawn(command.change, command.reason, command.actor))]
        case _ as never:
            assert_never(never)


def propose(state: AccountState, command: ProposeChange, now_us: int) -> ChangeProposed:
    """The proposal, if it could be carried out now."""
    proposed = ChangeProposed(
        command.change,
        command.what,
        command.amount,
        command.reason,
        command.actor,
        now_us + LIFE_US,
        command.expires_at_us,
        command.money,
    )
    require_amount(command.amount)
    _carried_out(state, command.account, proposed, now_us)
    if not command.change or any(each.change == command.change for each in state.proposals):
        raise InvalidCommandError("a proposal has a name of its own")
    if sum(each.ends_at_us > now_us for each in state.proposals) >= PROPOSALS_MAX:
        raise InvalidCommandError(f"{PROPOSALS_MAX} proposals wait on this account; settle one first")
    return proposed


def _open(state: AccountState, change: str, now_us: int) -> ChangeProposed:
    for each in state.proposals:
        if each.change == change and each.ends_at_us > now_us:
            return each
    raise ChangeClosedError("the proposal is not open: it was approved, withdrawn, or is too old by now")


def _carried_out(state: AccountState, account: str, proposed: ChangeProposed, now_us: int) -> NewEvents:
    amount, reason, actor = proposed.amount, proposed.reason, proposed.actor
    if proposed.what == "grant":
        ends = proposed.expires_at_us
        given = GrantCredits(account, amount, "manual", reason, expires_at_us=ends, actor=actor)
        return grant(state, given, now_us)
    taken = RevokeCredits(account, amount, reason, actor=actor, money=proposed.money)
    return revoke(state, taken, now_us)
