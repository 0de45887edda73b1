"""The rules of payments and refunds once more, in plain arithmetic, on top of `tests.support.model`.

A refund takes what the money bought, rounded half up over all refunds together, but never what of its lot is
gone already. One that failed gives back what it took, to where it took it from.
"""

from fractions import Fraction
from math import floor

import msgspec

from ledger import commands as c
from ledger.payments import commands as p
from tests.support.model import Expected, Model, ModelLot, Refused, short, take


class Money(msgspec.Struct):
    """Money that came: `going` is what went back or is about to, `taken` the credits that went with it."""

    order: p.OrderPayment
    lot: int
    going: int = 0
    taken: int = 0

    def share(self) -> int:
        """Half up, of the credits bought."""
        order = self.order
        return min(
            floor(Fraction(order.credits * self.going, order.amount_minor) + Fraction(1, 2)), order.credits
        )


class Intended(msgspec.Struct):
    """A refund under way."""

    money: Money
    amount_minor: int
    parts: list[ModelLot]


class MoneyModel(Model):
    """Knows payments as well."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[str, p.OrderPayment] = {}
        self.money: dict[str, Money] = {}
        self.open: dict[str, Intended] = {}

    def apply(self, command: c.Command, now_us: int) -> list[Expected]:
        match command:
            case p.OrderPayment():
                if self.accounts[command.account].forgotten:
                    raise Refused("Forgotten")
                self.orders[command.payment] = command
                return []
            case p.SettlePayment():
                return self._settle(command, now_us)
            case p.IntendRefund():
                money = self.money[command.provider_payment]
                if command.amount_minor > money.order.amount_minor - money.going:
                    raise Refused("RefundTooLargeError")
                made, parts = self._go(money, command.amount_minor, now_us)
                self.open[command.refund] = Intended(money, command.amount_minor, parts)
                return made
            case p.RecordRefund():
                if command.refund in self.open:
                    del self.open[command.refund]
                    return []
                return self._go(self.money[command.provider_payment], command.amount_minor, now_us)[0]
            case p.FailRefund():
                return self._fail(command, now_us)
            case _:
                return super().apply(command, now_us)

    def _settle(self, command: p.SettlePayment, now_us: int) -> list[Expected]:
        order = self.orders[command.payment]
        made = self._expire(order.account, now_us)
        ends_at_us = None if order.life_s is None else now_us + order.life_s * 1_000_000
        bought = c.GrantCredits(order.account, order.credits, "purchase", "x", None, ends_at_us)
        made += self._grant(bought)
        self.money[command.provider_payment] = Money(order, self.accounts[order.account].made)
        return made

    def _go(self, money: Money, amount_minor: int, now_us: int) -> tuple[list[Expected], list[ModelLot]]:
        name = money.order.account
        made, account = self._expire(name, now_us), self.accounts[name]
        money.going += amount_minor
        here = money.order.credits - account.gone.get(money.lot, 0)
        credits = max(min(money.share(), here) - money.taken, 0)
        money.taken += credits
        lots = account.in_draw_order()
        parts = take(account, sorted(lots, key=lambda lot: lot.number != money.lot), credits)
        account.debt += credits - sum(part.amount for part in parts)
        return [*made, ("CreditsRevoked", credits, short(parts))] if credits else made, parts

    def _fail(self, command: p.FailRefund, now_us: int) -> list[Expected]:
        if command.refund not in self.open:
            raise Refused("RefundNotFoundError")
        refund = self.open.pop(command.refund)
        money, name = refund.money, refund.money.order.account
        life_s = money.order.life_s
        own = self.accounts[name].lots.get(money.lot)
        ends_at_us = own.ends_at_us if own else None if life_s is None else now_us + life_s * 1_000_000
        money.going -= refund.amount_minor
        credits = left = max(money.taken - money.share(), 0)
        if not credits:
            return []
        made = self._expire(name, now_us)
        money.taken -= credits
        back: list[ModelLot] = []
        for part in refund.parts:
            part.amount = min(part.amount, left)
            left -= part.amount
            back += [part] if part.amount else []
        if left and back and back[0].number == money.lot:
            back[0].amount += left
        elif left:
            back.insert(0, ModelLot(money.lot, left, "purchase", ends_at_us))
        restored = self._give_back(name, back, now_us, command.refund_life_s)
        return [*made, ("CreditsRestored", credits, restored)]
