"""Rules of payments: pure functions, without clock, randomness or I/O.

What was read from the provider is a fact and is recorded: money after a cancellation or after we gave up is
credited. An order is a decision and can be refused. Refunds: `ledger.payments.money_refunds`.
"""

from typing import assert_never

from msgspec.structs import replace

from events.account import AccountOpened, Paid
from events.payment import (
    PaymentCancelled,
    PaymentCreated,
    PaymentExpired,
    PaymentFlagged,
    PaymentOrdered,
    PaymentSucceeded,
    Problem,
)
from events.stream_names import account_stream, payment_stream
from ledger import errors
from ledger.accounts import decider as account
from ledger.accounts import state as account_state
from ledger.accounts.decider import (
    AMOUNT_MAX,
    NewEvents,
    View,
    account_of,
    grant,
    require_codes,
    state_of,
)
from ledger.accounts.state import AccountState
from ledger.commands import GrantCredits
from ledger.payments import state as payment_state
from ledger.payments.commands import (
    AcceptPayment,
    CancelPayment,
    ExpirePayment,
    OrderCommand,
    OrderPayment,
    RecordPaymentCreated,
    SettlePayment,
)
from ledger.payments.state import PaymentState, Received

MONEY_MAX = 10**12
"""In the smallest unit; only to keep nonsense out."""

ID_CHARS_MAX = 128


def decide(view: View, command: OrderCommand, now_us: int) -> NewEvents:
    """The command's events with their streams. Raises RejectedError."""
    state = state_of(view, payment_stream(command.payment), PaymentState)
    match command:
        case OrderPayment():
            return order(state, account_of(view, command.account), command)
        case RecordPaymentCreated():
            return record_created(state, command)
        case SettlePayment():
            return settle(state, account_of(view, command.account), command, now_us)
        case CancelPayment():
            return cancel(state, command)
        case ExpirePayment():
            return expire(state, command)
        case AcceptPayment():
            return accept(state, account_of(view, command.account), command, now_us)
        case _ as never:
            assert_never(never)


def order(state: PaymentState, buyer: AccountState, command: OrderPayment) -> NewEvents:
    """PaymentOrdered; nothing when this very order stands."""
    ordered = PaymentOrdered(
        account=command.account,
        provider=command.provider,
        package=command.package,
        credits=command.credits,
        amount_minor=command.amount_minor,
        currency=command.currency,
        shop=command.shop,
        test=command.test,
        life_s=command.life_s,
        line=command.line,
        locale=command.locale,
        buyer=command.buyer,
        country=command.country,
    )
    if state.ordered is not None:
        if replace(state.ordered, restored=False) == ordered:
            return []
        raise errors.AlreadyExistsError(f"payment {command.payment} was ordered otherwise")
    account.require_open(buyer, command.account)
    if buyer.forgotten:
        raise errors.AccountErasedError(f"account {command.account} was erased; nothing can be ordered on it")
    if not buyer.terms:
        raise errors.TermsNotAcceptedError("agree to the terms first")
    _require_order(ordered)
    return [(payment_stream(command.payment), ordered)]


def record_created(state: PaymentState, command: RecordPaymentCreated) -> NewEvents:
    """PaymentCreated, once per id of the provider's."""
    require_ordered(state)
    require_id(command.provider_payment)
    if command.provider_payment in state.created:
        return []
    return [(payment_stream(command.payment), PaymentCreated(command.provider_payment))]


def settle(state: PaymentState, payer: AccountState, command: SettlePayment, now_us: int) -> NewEvents:
    """PaymentSucceeded and CreditsGranted, or PaymentFlagged; once per provider's id.

    An order that is not in the log is restored first. Flagged money of which some has gone back stays so.
    """
    require_id(command.provider_payment)
    stream, restored = payment_stream(command.payment), _restored(state, payer, command)
    for _, event in restored:
        if isinstance(event, PaymentOrdered):
            state = payment_state.evolve(state, event)
        else:
            assert isinstance(event, AccountOpened)
            payer = account_state.evolve(payer, event)
    ordered = require_ordered(state)
    received = state.received_as(command.provider_payment)
    if received is not None and (received.credits or received.refunded_minor or received.reserved_minor):
        return []
    if problem := _mismatch(ordered, command):
        if (command.provider_payment, problem) in state.flags:
            return []
        return [*restored, (stream, _flagged(command, problem))]
    came = Received(command.provider_payment, command.amount_minor, command.currency, facts=command.facts)
    return [*restored, *_credited(command.payment, payer, ordered, came, now_us)]


def _flagged(command: SettlePayment, problem: Problem) -> PaymentFlagged:
    return PaymentFlagged(
        command.provider_payment,
        problem,
        command.amount_minor,
        command.currency,
        command.provider,
        command.shop,
        command.test,
        command.account,
        command.facts,
    )


def _credited(
    payment: str,
    payer: AccountState,
    ordered: PaymentOrdered,
    came: Received,
    now_us: int,
    by: AcceptPayment | None = None,
) -> NewEvents:
    credits, why, actor = (by.credits, by.reason, by.actor) if by else (ordered.credits, ordered.package, "")
    bought = GrantCredits(
        ordered.account,
        credits,
        "purchase",
        why,
        reference(ordered, came.provider_payment),
        end_of_life(ordered, now_us),
        Paid(came.amount_minor, came.currency),
        actor,
    )
    succeeded = PaymentSucceeded(
        ordered.provider,
        came.provider_payment,
        came.amount_minor,
        came.currency,
        credits,
        payer.lots_made + 1,
        came.facts,
    )
    return [(payment_stream(payment), succeeded), *grant(payer, bought, now_us)]


def accept(state: PaymentState, payer: AccountState, command: AcceptPayment, now_us: int) -> NewEvents:
    """PaymentSucceeded and CreditsGranted for flagged money; nothing when credited."""
    ordered = require_ordered(state, command.account)
    received = state.received_as(command.provider_payment)
    if received is None:
        raise errors.NotPaidError("no such money is recorded")
    if received.credits:
        return []
    if received.refunded_minor or received.reserved_minor:
        raise errors.InvalidCommandError(
            "some of this money went back or is about to; it buys nothing any more"
        )
    account.require_said(command.actor, command.reason)
    return _credited(command.payment, payer, ordered, received, now_us, command)


def cancel(state: PaymentState, command: CancelPayment) -> NewEvents:
    """PaymentCancelled, once per id of the provider's; nothing once the money has come."""
    require_ordered(state)
    if state.succeeded or command.provider_payment in state.cancelled:
        return []
    require_codes(command.reason, command.party)
    cancelled = PaymentCancelled(command.provider_payment, command.reason, command.party)
    return [(payment_stream(command.payment), cancelled)]


def expire(state: PaymentState, command: ExpirePayment) -> NewEvents:
    require_ordered(state)
    if state.received or state.refused or state.expired:
        return []
    require_codes(command.reason)
    return [(payment_stream(command.payment), PaymentExpired(command.reason))]


def _restored(state: PaymentState, payer: AccountState, command: SettlePayment) -> NewEvents:
    """The order from the provider's metadata, with its account if need be."""
    if state.ordered is not None or state.broken:
        return []
    if command.ordered is None:
        raise errors.PaymentNotFoundError(f"payment {command.payment} was never ordered")
    _require_order(command.ordered)
    made: NewEvents = [(payment_stream(command.payment), replace(command.ordered, restored=True))]
    if not payer.opened and command.ordered.account == command.account:
        made.append((account_stream(command.account), AccountOpened("restored")))
    return made


def _mismatch(ordered: PaymentOrdered, command: SettlePayment) -> Problem | None:
    """First field in which the money does not match the order."""
    if command.account != ordered.account:
        return "account"
    if (command.provider, command.shop) != (ordered.provider, ordered.shop):
        return "shop"
    if command.test != ordered.test:
        return "test"
    if command.currency != ordered.currency:
        return "currency"
    return "amount" if command.amount_minor != ordered.amount_minor else None


def reference(ordered: PaymentOrdered, provider_payment: str) -> str:
    return f"{ordered.provider}:{provider_payment}"


def end_of_life(ordered: PaymentOrdered, now_us: int) -> int | None:
    return None if ordered.life_s is None else now_us + ordered.life_s * 1_000_000


def require_ordered(state: PaymentState, account_id: str | None = None) -> PaymentOrdered:
    """The order, of that account. Raises RejectedError."""
    if state.broken:
        raise errors.UnreadablePaymentError(f"the payment cannot be read: {state.broken}")
    if state.ordered is None or account_id not in (None, state.ordered.account):
        raise errors.PaymentNotFoundError("there is no such payment of this account")
    return state.ordered


def _require_order(ordered: PaymentOrdered) -> None:
    if not 0 < ordered.credits <= AMOUNT_MAX:
        raise errors.InvalidCommandError(f"a package has 1 to {AMOUNT_MAX} credits, not {ordered.credits}")
    if not ordered.account or not ordered.package or not ordered.currency:
        raise errors.InvalidCommandError("an order names an account, a package and a currency")
    if ordered.life_s is not None and ordered.life_s <= 0:
        raise errors.InvalidCommandError(f"credits that live for {ordered.life_s} seconds are none")
    require_money(ordered.amount_minor)


def require_money(amount_minor: int) -> None:
    """Raises InvalidCommandError."""
    if not 0 < amount_minor <= MONEY_MAX:
        raise errors.InvalidCommandError(f"an amount of money is 1 to {MONEY_MAX}, not {amount_minor}")


def require_id(name: str) -> None:
    """Raises InvalidCommandError."""
    if not 0 < len(name) <= ID_CHARS_MAX:
        raise errors.InvalidCommandError(f"an id has 1 to {ID_CHARS_MAX} characters")
