"""The states of a payment, found by asking the decider: every command in every state it can come to.

python -m tests.support.payment_diagram     # the diagram for docs/ledger.md
"""

from collections.abc import Iterator

from events.envelope import Recorded
from events.payment import PaymentEvent, PaymentOrdered
from events.stream_names import SALES_STREAM, account_stream, payment_stream
from ledger.accounts.state import AccountState
from ledger.decider import State, decide
from ledger.errors import RejectedError
from ledger.payments import commands as p
from ledger.payments.state import PaymentState, evolve
from ledger.system.decider import SystemState
from projections.models import payments
from projections.models.payments import Payment

WHOLE, HALF = 1_000, 500
TERMS = ("package", 10, WHOLE, "RUB", "1", False, None, "10 videos", "ru")
BUYER = AccountState(opened=True, terms="1")
NOBODYS = Recorded(1, payment_stream("p"), 1, "", "", None, None, None, None, 1, b"")

Stand = tuple[PaymentState, Payment | None]
"""What the rules know of the payment, and its row in the read model, whose `state` names the stage."""

Edge = tuple[str, str, str]
"""From which stage, what happened (events joined by `+`), to which stage."""


def commands(state: PaymentState) -> Iterator[p.PaymentCommand]:
    """Everything that may be asked about the payment `p` and one id of the provider's."""
    yield p.OrderPayment("p", "a", "yookassa", *TERMS)
    yield p.RecordPaymentCreated("p", "y")
    for paid in (WHOLE, HALF):
        ordered = PaymentOrdered("a", "yookassa", *TERMS)
        yield p.SettlePayment("p", "a", "yookassa", "y", paid, "RUB", "1", False, ordered)
    yield p.CancelPayment("p", "y", "card_expired", "yoo_money")
    yield p.ExpirePayment("p", "unpaid")
    if len(state.refunds) + len(state.closed) + len(state.intents) < 3:
        yield p.IntendRefund("p", "a", f"r{len(state.closed)}", "y", HALF, "login:op", "asked")
        yield p.RecordRefund("p", "a", "yookassa", "y", f"g{len(state.refunds)}", HALF)
    for intent in state.intents:
        yield p.FailRefund("p", "a", intent.refund, "insufficient_funds")


def edges() -> list[Edge]:
    """All that can happen, each once, in the order in which it is found."""
    found: dict[Edge, None] = {}
    first: Stand = (PaymentState(), None)
    seen, waiting = {first}, [first]
    while waiting:
        state, row = waiting.pop(0)
        for command in commands(state):
            view: dict[str, State] = {
                payment_stream("p"): state,
                account_stream("a"): BUYER,
                SALES_STREAM: SystemState(),
            }
            try:
                made = [event for _, event in decide(view, command, 0) if isinstance(event, PaymentEvent)]
            except RejectedError:
                continue
            after, changed = state, row
            for event in made:
                after, changed = evolve(after, event), payments.evolve(changed, NOBODYS, event)
            if changed is not None and made:
                happened = " + ".join(type(event).__name__ for event in made)
                found[row.state if row is not None else "[*]", happened, changed.state] = None
            if (after, changed) not in seen:
                seen.add((after, changed))
                waiting.append((after, changed))
    return list(found)


def diagram() -> str:
    """Mermaid. What changes no stage is left out."""
    return "\n".join(["stateDiagram-v2", *[f"    {a} --> {b}: {what}" for a, what, b in edges() if a != b]])


if __name__ == "__main__":
    print(diagram())  # noqa: T201 - this is what it is for
