"""The rules of invitations: pure functions over the states of the invited account, its inviter and a job.

Who invited whom is said when the invited account opens and never again (`ledger.account.open_account`). The
inviter's account is open by then, so nobody is invited by an account of their own making, and A invites B
invites A cannot be. The bonus is given once per invited account, whoever asks for it how often.
"""

from events.account import InvitationRewarded
from events.streams import account_stream
from ledger.account import Made, grant, require_open
from ledger.account_state import AccountState
from ledger.commands import GrantCredits
from ledger.commands_promo import RewardInvitation
from ledger.errors import Forgotten, InvalidCommand, NotDue
from ledger.job_state import JobState


def reference(account: str) -> str:
    """How both grants name the invited account."""
    return f"referral:{account}"


def reward(
    state: AccountState,
    inviter: AccountState,
    job: JobState | None,
    command: RewardInvitation,
    now_us: int,
) -> Made:
    """InvitationRewarded and CreditsGranted on both sides; nothing when that was done.

    An inviter who was erased gets nothing more; the invited account gets its part all the same.
    """
    require_open(state, command.account)
    if state.rewarded:
        return []
    if not state.invited_by or state.invited_by != command.inviter:
        raise InvalidCommand(f"account {command.account} was not invited by {command.inviter}")
    if state.forgotten:
        raise Forgotten(f"account {command.account} was erased; it takes no gifts")
    if job is None and not state.bought:
        raise NotDue("the invited account has bought nothing yet")
    if job is not None and (job.account != command.account or job.outcome != "succeeded"):
        raise NotDue("the invited account has no such video yet")
    require_open(inviter, command.inviter)
    inviter_credits = 0 if inviter.forgotten else command.inviter_credits
    rewarded = InvitationRewarded(command.inviter, command.credits, inviter_credits, command.job)
    sides = ((state, command.account, command.credits), (inviter, command.inviter, inviter_credits))
    made: Made = [(account_stream(command.account), rewarded)]
    for side, account, amount in sides:
        if amount:
            gift = GrantCredits(account, amount, "referral", "invitation", reference(command.account))
            made += grant(side, gift, now_us)
    return made
