"""Invariants of payments: credits match money exactly. Pure.

Independent of `ledger.payments`. What money says in a payment's stream, credits say in its account's, in the
same command: `due` is what the command still owes. All payments are kept, a few hundred bytes each: money may
go back for years.
"""

import re
from typing import Final, NamedTuple, get_args

import msgspec

from events.account import CreditsGranted, CreditsRestored, CreditsRevoked, Paid, Part
from events.payment import (
    MoneyFacts,
    PaymentFlagged,
    PaymentOrdered,
    PaymentRefunded,
    PaymentSucceeded,
    Provider,
    Receipt,
    RefundFailed,
    RefundIntended,
)
from events.stream_names import ACCOUNT, PAYMENT
from projections.verify.event_fields import wrong_version
from projections.verify.findings import Findings
from projections.verify.invariants.lots import Account

PROVIDERS: Final = frozenset(get_args(Provider))
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Money(msgspec.Struct, gc=False):
    """Money under one provider's id; `credits` granted as `lot`, none if flagged."""

    amount_minor: int
    credits: int = 0
    back_minor: int = 0
    taken: int = 0
    lot: int = 0

    def share(self, more_minor: int) -> int:
        """Credits refunded with `more_minor`: rounded half up, never above all."""
        if not self.credits:
            return 0
        whole, rest = divmod((self.back_minor + more_minor) * self.credits, self.amount_minor)
        return min(whole + (2 * rest >= self.amount_minor), self.credits)


class Order(NamedTuple):
    account: str
    provider: str
    amount_minor: int
    currency: str
    credits: int


class Payment(msgspec.Struct, gc=False):
    """One payment; `ordered` may be missing. `refunds` are those under way."""

    name: str
    ordered: Order | None = None
    version: int = 0
    money: dict[str, Money] = msgspec.field(default_factory=dict)
    refunds: dict[str, RefundIntended] = msgspec.field(default_factory=dict)


class Due(msgspec.Struct, gc=False):
    """Credits due in this command, negative when taken, with their money.

    `parts`: an intended or failed refund's.
    """

    position: int
    stream: str
    reference: str
    amount: int
    paid: Paid
    payment: str
    lot: int = 0
    parts: tuple[Part, ...] | None = None


class Payments:
    """Payments by stream. `whole`: command seen from its start. `accounts`: before this event."""

    def __init__(self, findings: Findings, accounts: dict[str, Account], *, whole: bool = True) -> None:
        self._findings = findings
        self._accounts = accounts
        self.whole = whole
        self.by_stream: dict[str, Payment] = {}
        self.due: list[Due] = []
        self._credited: set[str] = set()
        self._gone: set[str] = set()

    def take_over(self, other: "Payments") -> None:
        self.by_stream |= other.by_stream
        self._credited |= other._credited
        self._gone |= other._gone

    def moved(self, at: int, stream: str, version: int, event: object | None) -> None:
        """Event of a payment's stream; None if its data does not matter."""
        payment = self.by_stream.get(stream)
        if payment is None:
            payment = self.by_stream[stream] = Payment(stream.removeprefix(PAYMENT))
        payment.version += 1
        if version != payment.version:
            wrong_version(self._findings, at, stream, version, payment.version)
            payment.version = version
        if isinstance(event, PaymentOrdered):
            if payment.ordered is not None:
                self._say(at, f"{stream} was ordered twice")
            payment.ordered = Order(
                event.account, event.provider, event.amount_minor, event.currency, event.credits
            )
        elif payment.ordered is None:
            self._say(at, f"{stream} goes on at position {at} and was never ordered")
        elif event is not None:
            self._money_moved(at, stream, payment, payment.ordered, event)

    def _money_moved(self, at: int, stream: str, payment: Payment, ordered: Order, event: object) -> None:
        wrong = ""
        match event:
            case PaymentSucceeded():
                wrong = self._succeeded(at, payment, ordered, event)
            case PaymentFlagged():
                payment.money.setdefault(event.provider_payment, Money(event.amount_minor))
            case RefundIntended():
                wrong = self._intended(at, payment, ordered, event)
            case RefundFailed():
                wrong = self._refund_failed(at, payment, ordered, event)
            case PaymentRefunded():
                wrong = self._went_back(at, payment, ordered, event)
        if isinstance(event, PaymentSucceeded | PaymentFlagged | PaymentRefunded):
            wrong = wrong or _odd(event)
        if wrong:
            self._findings.add("payment", at, f"{stream} at position {at}: {wrong}")

    def granted(self, at: int, stream: str, event: CreditsGranted) -> None:
        due = self._take_due(at, stream, event.reference or "", event.amount)
        if due is not None and (due.paid, due.lot) != (event.paid, event.lot):
            message = f"the grant at position {at} says of {event.reference} what the payment does not"
            self._say(at, message)

    def revoked(self, at: int, stream: str, event: CreditsRevoked) -> None:
        due = self._take_due(at, stream, event.reference or "", -event.amount)
        self._must_name(due, at, event)
        if due is not None and due.parts not in (None, event.parts):
            taken = f"credits of {event.reference} were taken at position {at}"
            self._say(at, f"{taken} from other lots than it says")

    def restored(self, at: int, stream: str, event: CreditsRestored) -> None:
        """Failed refund's credits returned to their lots, or to the payment's own."""
        due = self._take_due(at, stream, event.reference, event.amount)
        came_back = f"credits of {event.reference} came back at position {at}"
        if due is None:
            if self.whole:
                self._say(at, f"{event.amount} {came_back} without a refund")
            return
        self._must_name(due, at, event)
        taken = {part.lot: part.amount for part in due.parts or ()}
        if any(part.amount > taken.get(part.lot, 0) for part in event.parts if part.lot != due.lot):
            self._say(at, f"{came_back} to lots they were not taken from")

    def _must_name(self, due: Due | None, at: int, event: CreditsRevoked | CreditsRestored) -> None:
        if due is not None and (due.paid, due.payment) != (event.returned, event.payment):
            self._say(at, f"position {at} names other money of {event.reference} than went back")

    def command_over(self) -> None:
        for due in self.due:
            what = "given" if due.amount > 0 else "taken"
            self._say(
                due.position, f"{abs(due.amount)} credits of {due.reference} were not {what} with the money"
            )
        self.due.clear()

    def _take_due(self, at: int, stream: str, reference: str, amount: int) -> Due | None:
        for due in self.due:
            if (due.stream, due.reference, due.amount) == (stream, reference, amount):
                self.due.remove(due)
                return due
        if self.whole and reference.partition(":")[0] in PROVIDERS:
            what = "given" if amount > 0 else "taken"
            self._say(
                at, f"{abs(amount)} credits of {reference} were {what} at position {at} without such money"
            )
        return None

    def _succeeded(self, at: int, payment: Payment, ordered: Order, event: PaymentSucceeded) -> str:
        reference, wrong = f"{event.provider}:{event.provider_payment}", ""
        known = payment.money.get(event.provider_payment)
        accepted = known == Money(event.amount_minor)  # flagged before, and nothing has gone back
        if (
            not accepted
            and (event.provider, event.amount_minor, event.currency, event.credits) != ordered[1:]
        ):
            wrong = "it was ordered otherwise than it is credited"
        if reference in self._credited:
            wrong = f"the money of {reference} was credited before"
        self._credited.add(reference)
        payment.money[event.provider_payment] = Money(event.amount_minor, event.credits, lot=event.lot)
        paid = Paid(event.amount_minor, event.currency)
        stream = ACCOUNT + ordered.account
        self.due.append(Due(at, stream, reference, event.credits, paid, payment.name, event.lot))
        return wrong

    def _intended(self, at: int, payment: Payment, ordered: Order, event: RefundIntended) -> str:
        money = payment.money.get(event.provider_payment)
        if money is None:
            return f"{event.provider_payment} is to go back and never came"
        if event.refund in payment.refunds:
            return f"refund {event.refund} is under way already"
        too_much = not 0 < event.amount_minor <= money.amount_minor - money.back_minor
        payment.refunds[event.refund] = event
        wrong = self._takes(at, payment, money, ordered, event, event.parts)
        return f"{event.amount_minor} is to go back, which is more than is left" if too_much else wrong

    def _refund_failed(self, at: int, payment: Payment, ordered: Order, event: RefundFailed) -> str:
        intended = payment.refunds.pop(event.refund, None)
        if intended is None:
            return f"refund {event.refund} failed and was not under way"
        money = payment.money[intended.provider_payment]
        right = max(money.taken - money.share(-intended.amount_minor), 0)
        money.back_minor -= intended.amount_minor
        money.taken -= event.credits
        if event.credits:
            stream = ACCOUNT + ordered.account
            paid, back = Paid(intended.amount_minor, intended.currency), intended.parts
            self.due.append(Due(at, stream, event.refund, event.credits, paid, payment.name, money.lot, back))
        if event.credits != right:
            return f"refund {event.refund} failed and gives back {event.credits} credits, not {right}"
        return ""

    def _went_back(self, at: int, payment: Payment, ordered: Order, event: PaymentRefunded) -> str:
        again = event.provider_refund in self._gone
        self._gone.add(event.provider_refund)
        money = payment.money.get(event.provider_payment)
        if money is None:
            return f"{event.provider_payment} went back and never came"
        if event.refund:
            begun = payment.refunds.pop(event.refund, None)
            same = begun is not None and (begun.provider_payment, begun.amount_minor, begun.credits) == (
                event.provider_payment,
                event.amount_minor,
                event.credits,
            )
            wrong = "" if same else f"refund {event.refund} is not what was begun"
        else:
            wrong = self._takes(at, payment, money, ordered, event)
            if money.back_minor > money.amount_minor:
                wrong = f"more of {event.provider_payment} went back than came"
        return f"refund {event.provider_refund} was recorded before" if again else wrong

    def _takes(
        self,
        at: int,
        payment: Payment,
        money: Money,
        ordered: Order,
        event: RefundIntended | PaymentRefunded,
        parts: tuple[Part, ...] | None = None,
    ) -> str:
        """Check that credits go with the money, less those lost."""
        whole, account = money.share(event.amount_minor), self._accounts.get(ACCOUNT + ordered.account)
        lost = ((account.lost if account else None) or {}).get(money.lot, 0)
        right = max(min(whole, money.credits - lost) - money.taken, 0)
        unknown = account is None and 0 <= event.credits <= right  # of what was before the walk
        money.back_minor += event.amount_minor
        money.taken += event.credits
        if event.credits:
            reference = f"{ordered.provider}:{event.provider_payment}"
            stream = ACCOUNT + ordered.account
            paid = Paid(event.amount_minor, event.currency)
            self.due.append(Due(at, stream, reference, -event.credits, paid, payment.name, parts=parts))
        if event.credits == right or unknown:
            return ""
        return f"{event.amount_minor} of {money.amount_minor} takes {event.credits} credits, not {right}"

    def _say(self, at: int, message: str) -> None:
        self._findings.add("payment", at, message)


def _odd(event: PaymentSucceeded | PaymentFlagged | PaymentRefunded) -> str:
    """Contradiction in the provider's facts; empty: none."""
    facts: MoneyFacts = event.facts
    receipt = facts.receipt or Receipt()
    codes = (facts.method, receipt.status, receipt.vat_code, receipt.mode, receipt.subject)
    if any(code is not None and not _CODE.fullmatch(code) for code in codes):
        return "a provider's code holds what no code may"
    if isinstance(event, PaymentRefunded):
        return "it was begun here and says otherwise" if event.refund and event.kind != "ours" else ""
    income, fee = facts.income_minor, facts.fee_minor
    if income is not None and fee is not None and income + fee != event.amount_minor:
        return f"{income} and its fee {fee} are not the {event.amount_minor} that came"
    return ""
