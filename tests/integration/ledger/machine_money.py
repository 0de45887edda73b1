"""The state machine over the real database, with money that comes and goes back, and people who do."""

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from ledger import commands as c
from ledger.payments import commands as p
from tests.integration.ledger.machine import ACCOUNTS, LedgerMachine
from tests.support.multi_process_ledger import MultiProcessLedger

PICKS = st.integers(0, 99)
WHOLE = 1_000


class MoneyMachine(LedgerMachine):
    """Refunds race each other as well: some of what is asked at once is about money."""

    def __init__(self, world: MultiProcessLedger) -> None:
        self.returns: dict[str, int] = {}
        super().__init__(world)

    def name(self, name: str) -> str:
        return f"{self.prefix}{name}{self.returns.get(name, '')}"

    def command(self, what: str, name: str, amount: int) -> c.Command:
        if what == "revoke" and amount > 2 and self.model.money:
            return self.intend_of(amount, amount)
        if what == "expire" and amount > 2 and self.model.open:
            return self.fail_of(amount)
        return super().command(what, name, amount)

    def intend_of(self, pick: int, quarters: int) -> p.IntendRefund:
        payment = list(self.model.money)[pick % len(self.model.money)]
        account = self.model.orders[payment].account
        return p.IntendRefund(
            payment, account, self.key(), payment, WHOLE * quarters // 4, "login:neurocards_operator", "asked"
        )

    def fail_of(self, pick: int) -> p.FailRefund:
        refund = list(self.model.open)[pick % len(self.model.open)]
        order = self.model.open[refund].money.order
        return p.FailRefund(order.payment, order.account, refund, "no", refund_life_s=30)

    @rule(name=ACCOUNTS, credits=st.integers(1, 5), life=st.none() | st.integers(1, 90))
    def buy(self, name: str, credits: int, life: int | None) -> None:
        payment, account = self.key(), self.name(name)
        terms = ("x", credits, WHOLE, "RUB", "1", False, life, "x", "ru")
        self.ask(p.OrderPayment(payment, account, "yookassa", *terms))
        self.ask(p.SettlePayment(payment, account, "yookassa", payment, WHOLE, "RUB", "1", False))

    @precondition(lambda self: self.model.money)
    @rule(pick=PICKS, quarters=st.integers(1, 4))
    def intend(self, pick: int, quarters: int) -> None:
        self.ask(self.intend_of(pick, quarters))

    @precondition(lambda self: self.model.open)
    @rule(pick=PICKS)
    def fail(self, pick: int) -> None:
        self.ask(self.fail_of(pick))

    @precondition(lambda self: self.model.open)
    @rule(pick=PICKS)
    def send_back(self, pick: int) -> None:
        refund = list(self.model.open)[pick % len(self.model.open)]
        intended = self.model.open[refund]
        order, sent = intended.money.order, intended.amount_minor
        payment = order.payment
        self.ask(p.RecordRefund(payment, order.account, "yookassa", payment, self.key(), sent, refund))

    @rule(name=ACCOUNTS)
    def forget_and_return(self, name: str) -> None:
        account = self.name(name)
        debt = self.model.accounts[account].debt
        self.ask(c.ForgetAccount(account, "asked", "login:neurocards_operator"))
        if debt:
            self.ask(c.GrantCredits(account, debt, "carried", "erased"))
        self.returns[name] = self.returns.get(name, 0) + 1
        account = self.name(name)
        self.ask(c.OpenAccount(account, "0" * 64, debt=debt))
        self.run(self.ledger.execute(c.AcceptTerms(account, "1", 0), key=f"terms:{account}"))

    @invariant()
    def credits_are_money(self) -> None:
        assert self.run(self.world.pool.fetch("SELECT * FROM audit.unsettled_payments")) == []
