"""The states a decision reads, each out of its stream. Raises LedgerError when that holds another kind."""

from collections.abc import Mapping

from events.streams import account_stream, job_stream, payment_stream, promo_stream
from ledger.account_state import AccountState
from ledger.errors import LedgerError
from ledger.job_state import JobState
from ledger.payment_state import PaymentState
from ledger.promo_state import PromoState

View = Mapping[str, object]
"""Stream → state."""


def account(view: View, account_id: str) -> AccountState:
    """The account."""
    state = view[account_stream(account_id)]
    if not isinstance(state, AccountState):
        raise LedgerError(f"stream of account {account_id} holds another kind of state")
    return state


def job(view: View, job_id: str) -> JobState:
    """The job."""
    state = view[job_stream(job_id)]
    if not isinstance(state, JobState):
        raise LedgerError(f"stream of job {job_id} holds another kind of state")
    return state


def payment(view: View, payment_id: str) -> PaymentState:
    """The payment."""
    state = view[payment_stream(payment_id)]
    if not isinstance(state, PaymentState):
        raise LedgerError(f"stream of payment {payment_id} holds another kind of state")
    return state


def promo(view: View, code: str) -> PromoState:
    """The promo code."""
    state = view[promo_stream(code)]
    if not isinstance(state, PromoState):
        raise LedgerError(f"stream of promo code {code} holds another kind of state")
    return state
