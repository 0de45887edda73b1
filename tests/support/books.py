"""Double entry: every credit event is one transfer between two named accounts. Pure.

    issued:<kind>     where granted credits come from; below zero by what was issued
    user:<account>    what a user has; the only accounts checked for overdraft
    spent:generation  what jobs have cost, less what was refunded
    revoked:<kind>    what was taken back, less what was restored
    expired:<kind>    what was not spent in time

Everything that leaves one account arrives in another, so the books of the whole system sum to zero at every
position. `audit.trial_balance` is the same in plain SQL.
"""

from collections.abc import Iterator, Mapping

import msgspec

from events.account import (
    CreditEvent,
    CreditsCharged,
    CreditsExpired,
    CreditsGranted,
    CreditsRefunded,
    CreditsRestored,
    CreditsRevoked,
)
from events.codec import Event, decode
from events.envelope import Recorded
from events.stream_names import account_of
from projections.engine.errors import UnfoldableEventError

SPENT = "spent:generation"


class Transfer(msgspec.Struct, frozen=True):
    """`amount` whole credits went from one account of the books to another."""

    source: str
    target: str
    amount: int


def transfer_of(recorded: Recorded, event: Event) -> Transfer | None:
    """The transfer an event means; None when it moves no credits."""
    if not isinstance(event, CreditEvent):
        return None
    account = account_of(recorded.stream)
    if account is None:
        raise UnfoldableEventError(
            f"{recorded.type} at position {recorded.position} is in no account's stream"
        )
    user = f"user:{account}"
    match event:
        case CreditsGranted():
            return Transfer(f"issued:{event.kind}", user, event.amount)
        case CreditsCharged():
            return Transfer(user, SPENT, event.amount)
        case CreditsRefunded():
            return Transfer(SPENT, user, event.amount)
        case CreditsRevoked():
            return Transfer(user, f"revoked:{event.kind}", event.amount)
        case CreditsRestored():
            return Transfer("revoked:payment", user, event.amount)
        case CreditsExpired():
            return Transfer(user, f"expired:{event.kind}", event.amount)


class Books(Mapping[str, int]):
    """Account of the books → its balance, folded from transfers."""

    def __init__(self) -> None:
        self._balances: dict[str, int] = {}

    def record(self, recorded: Recorded) -> Transfer | None:
        """Fold one event; the transfer it meant."""
        transfer = transfer_of(recorded, decode(recorded))
        if transfer is not None:
            self.post(transfer)
        return transfer

    def post(self, transfer: Transfer) -> None:
        """Move the credits."""
        balances = self._balances
        balances[transfer.source] = balances.get(transfer.source, 0) - transfer.amount
        balances[transfer.target] = balances.get(transfer.target, 0) + transfer.amount

    def total(self, prefix: str = "") -> int:
        """The sum over all accounts whose name begins so."""
        return sum(balance for account, balance in self._balances.items() if account.startswith(prefix))

    def __getitem__(self, account: str) -> int:
        return self._balances[account]

    def __iter__(self) -> Iterator[str]:
        return iter(self._balances)

    def __len__(self) -> int:
        return len(self._balances)


def imbalances(books: Mapping[str, int]) -> list[str]:
    """What is wrong with the books, in words; empty when they balance.

    The sum is zero, nothing was issued to less than nothing, and no more was refunded than was spent.
    """
    found = []
    if total := sum(books.values()):
        found.append(f"the books sum to {total}, not to zero")
    if (spent := books.get(SPENT, 0)) < 0:
        found.append(f"{-spent} credits more were refunded than were spent")
    for account, balance in books.items():
        if account.startswith("issued:") and balance > 0:
            found.append(f"{account} holds {balance} credits; it can only give")
        if account.startswith(("revoked:", "expired:")) and balance < 0:
            found.append(f"{account} gave {-balance} credits; it can only take")
    return found
