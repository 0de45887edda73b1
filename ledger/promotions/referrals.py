"""Rules of referrals: pure functions.

Who invited whom is said when the invited account opens and never again
(`ledger.accounts.decider.open_account`). The inviter's account is open by then, so no account can invite
itself or its own inviter. The bonus is given once per invited account.
"""

from events.account import InvitationRewarded
from events.stream_names import account_stream, job_stream
from ledger.accounts.decider import NewEvents, View, account_of, grant, require_open, state_of
from ledger.commands import GrantCredits
from ledger.errors import AccountErasedError, InvalidCommandError, NotDueError
from ledger.jobs.state import JobState
from ledger.promotions.commands import RewardInvitation


def reference(account: str) -> str:
    return f"referral:{account}"


def decide(view: View, command: RewardInvitation, now_us: int) -> NewEvents:
    """InvitationRewarded and CreditsGranted, once; an erased inviter gets none."""
    state, inviter = account_of(view, command.account), account_of(view, command.inviter)
    job = state_of(view, job_stream(command.job), JobState) if command.job else None
    require_open(state, command.account)
    if state.rewarded:
        return []
    if not state.invited_by or state.invited_by != command.inviter:
        raise InvalidCommandError(f"account {command.account} was not invited by {command.inviter}")
    if state.forgotten:
        raise AccountErasedError(f"account {command.account} was erased; it takes no gifts")
    if job is None and not state.bought:
        raise NotDueError("the invited account has bought nothing yet")
    if job is not None and (job.account != command.account or job.outcome != "succeeded"):
        raise NotDueError("the invited account has no such video yet")
    require_open(inviter, command.inviter)
    inviter_credits = 0 if inviter.forgotten else command.inviter_credits
    rewarded = InvitationRewarded(
        command.inviter, command.credits, inviter_credits, command.job, "" if command.job else state.purchase
    )
    sides = ((state, command.account, command.credits), (inviter, command.inviter, inviter_credits))
    made: NewEvents = [(account_stream(command.account), rewarded)]
    for side, account, amount in sides:
        if amount:
            gift = GrantCredits(account, amount, "referral", "invitation", reference(command.account))
            made += grant(side, gift, now_us)
    return made
