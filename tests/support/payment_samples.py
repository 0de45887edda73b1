"""Payments as given, when and then: an order of 5 credits for 390 RUB, and what comes of it."""

from typing import Any

from msgspec.structs import replace

from events.account import AccountEvent, CreditsCharged, CreditsGranted, CreditsRevoked, Paid, Part
from events.payment import (
    MoneyFacts,
    PaymentEvent,
    PaymentFlagged,
    PaymentOrdered,
    PaymentSucceeded,
    Receipt,
    RefundIntended,
)
from ledger.accounts import decider as account
from ledger.accounts.lots import draw
from ledger.accounts.state import AccountState
from ledger.commands import RevokeCredits
from ledger.decider import State, decide, evolve
from ledger.payments import commands as p
from ledger.payments.state import PaymentState, Received
from ledger.system.decider import SystemState

ORDERED = PaymentOrdered(
    "a", "yookassa", "credits-5", 5, 39_000, "RUB", "100500", False, None, "5 videos", "ru"
)
ORDER = p.OrderPayment(
    "p", "a", "yookassa", "credits-5", 5, 39_000, "RUB", "100500", False, None, "5 videos", "ru"
)
SETTLE = p.SettlePayment("p", "a", "yookassa", "yk-1", 39_000, "RUB", "100500", False)
INTEND = p.IntendRefund("p", "a", "r1", "yk-1", 39_000, "login:op", "asked")
BUYER = AccountState(opened=True, terms="1")
FACTS = MoneyFacts(7, 37_635, 1_365, None, "bank_card", Receipt("pending", "1", "full_payment", "service"))
FLAGGED = PaymentFlagged("yk-1", "amount", 100, "RUB", "yookassa", "100500", False, "a")
SUCCEEDED = PaymentSucceeded("yookassa", "yk-1", 39_000, "RUB", 5, 1)
GRANTED = CreditsGranted(5, "purchase", "credits-5", 1, "yookassa:yk-1", paid=Paid(39_000, "RUB"))
FOUND = p.RecordRefund("p", "a", "yookassa", "yk-1", "yr-1", 39_000)
OURS = replace(FOUND, refund="r1")
FAIL = p.FailRefund("p", "a", "r1", "insufficient_funds")
INTENDED = RefundIntended("r1", "yk-1", 39_000, "RUB", 5, "login:op", "asked")


class Desk:
    """The payment `p` and its account `a`: commands are decided and what they make is folded."""

    def __init__(self, *given: PaymentEvent, payer: AccountState = BUYER) -> None:
        self.payment = PaymentState()
        self.payer = payer
        for event in given:
            self._fold(event)

    def do(self, command: p.PaymentCommand, now_us: int = 0) -> list[Any]:
        """The events made, folded in."""
        view: dict[str, State] = {
            "payment-p": self.payment,
            "account-a": self.payer,
            "account-b": AccountState(),
            "system-sales": SystemState(),
        }
        made = decide(view, command, now_us)
        for stream, event in made:
            kind = "payment-p" if isinstance(event, PaymentEvent) else "account-a"
            assert stream == kind
            self._fold(event)
        return [event for _, event in made]

    def charge(self, job: str, amount: int) -> None:
        """Spend credits on a job."""
        self._fold(CreditsCharged(job, job, amount, draw(self.payer.lots, amount)[0]))

    def revoke(self, amount: int) -> None:
        """An operator takes credits."""
        for _, event in account.revoke(self.payer, RevokeCredits("a", amount, "fraud", kind="fraud"), 0):
            self._fold(event)

    def _fold(self, event: Any) -> None:
        if isinstance(event, AccountEvent):
            payer = evolve(self.payer, event)
            assert isinstance(payer, AccountState)
            self.payer = payer
        else:
            payment = evolve(self.payment, event)
            assert isinstance(payment, PaymentState)
            self.payment = payment


def revoked(
    credits: int,
    *parts: Part,
    actor: str = "",
    reference: str = "yookassa:yk-1",
    returned_minor: int = 39_000,
) -> CreditsRevoked:
    """What a refund takes."""
    taken = CreditsRevoked(credits, "refund", reference, "payment", tuple(parts), actor)
    return replace(taken, returned=Paid(returned_minor, "RUB"), payment="p")


def paid(credits: int = 5, amount_minor: int = 39_000, payer: AccountState = BUYER) -> Desk:
    """The payment has succeeded."""
    desk = Desk(replace(ORDERED, credits=credits, amount_minor=amount_minor), payer=payer)
    desk.do(replace(SETTLE, amount_minor=amount_minor))
    return desk


def received(desk: Desk, name: str = "yk-1") -> Received:
    """The money that came."""
    found = desk.payment.received_as(name)
    assert isinstance(found, Received)
    return found
