"""What is decided about payments and promo codes, by the commands' names. Pure."""

from typing import assert_never

from ledger import commands_payment as p
from ledger import commands_promo as g
from ledger import payment, promo, refund
from ledger import view as view_of
from ledger.account import Made
from ledger.view import View


def decide_payment(view: View, command: p.PaymentCommand, now_us: int) -> Made:
    """See `ledger.decide.decide`."""
    state = view_of.payment(view, command.payment)
    match command:
        case p.OrderPayment():
            return payment.order(state, view_of.account(view, command.account), command)
        case p.RecordPaymentCreated():
            return payment.record_created(state, command)
        case p.SettlePayment():
            return payment.settle(state, view_of.account(view, command.account), command, now_us)
        case p.CancelPayment():
            return payment.cancel(state, command)
        case p.ExpirePayment():
            return payment.expire(state, command)
        case p.IntendRefund():
            return refund.intend(state, view_of.account(view, command.account), command, now_us)
        case p.FailRefund():
            return refund.fail(state, view_of.account(view, command.account), command, now_us)
        case p.RecordRefund():
            return refund.record(state, view_of.account(view, command.account), command, now_us)
        case p.AcceptPayment():
            return payment.accept(state, view_of.account(view, command.account), command, now_us)
        case _ as never:
            assert_never(never)


def decide_promo(view: View, command: g.PromoCommand, now_us: int) -> Made:
    """See `ledger.decide.decide`."""
    state = view_of.promo(view, command.code)
    match command:
        case g.CreatePromo():
            return promo.create(state, command, now_us)
        case g.DisablePromo():
            return promo.disable(state, command)
        case g.RedeemPromo():
            return promo.redeem(state, view_of.account(view, command.account), command, now_us)
        case _ as never:
            assert_never(never)
